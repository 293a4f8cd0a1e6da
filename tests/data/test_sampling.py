import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from pickout.data.batching import EpochSampler, SamplerSettings
from pickout.errors import RecipeError


def by_identity(identities, size, per_identity, seed):
    return EpochSampler(SamplerSettings(batch=size, per_identity=per_identity), identities, seed)


def _items(sampler, epoch):
    sampler.epoch = epoch
    return [[draw.item for draw in batch] for batch in sampler]


def identity_batches_by_loops(identities, size, per_identity, generator):
    """The slow twin: dictionaries and one person at a time, as the field's samplers are written."""
    index = defaultdict(list)
    for item, identity in enumerate(identities):
        index[identity].append(item)
    groups = defaultdict(list)
    for identity, items in index.items():
        if len(items) < per_identity:
            shuffled = [int(i) for i in generator.choice(items, (1, per_identity), replace=True)[0]]
        else:
            shuffled = [int(i) for i in generator.permutation(items)]
        group = []
        for item in shuffled:
            group.append(item)
            if len(group) == per_identity:
                groups[identity].append(group)
                group = []
    available = list(index)
    batches = []
    while len(available) >= size // per_identity:
        chosen = [available[i] for i in generator.choice(len(available), size // per_identity, replace=False)]
        batch = []
        for identity in chosen:
            batch.extend(groups[identity].pop(0))
        available = [identity for identity in available if groups[identity]]
        batches.append(batch)
    return batches


def test_rstpreid_sized_epochs_have_144_batches_of_128_people_with_two_pairs_each():
    """ITSELF spec, E15."""
    identities = [i for i in range(3701) for _ in range(10)]
    sampler = by_identity(identities, 256, 2, seed=1)
    for epoch in (1, 2, 60):
        batches = _items(sampler, epoch)
        assert len(batches) == len(sampler) == 144
        for batch in batches:
            counts = Counter(identities[item] for item in batch)
            assert len(counts) == 128
            assert set(counts.values()) == {2}
        drawn = [item for batch in batches for item in batch]
        assert len(drawn) == len(set(drawn)), "a pair must not come twice in an epoch"


@pytest.mark.parametrize("seed", range(5))
def test_identity_batches_equal_the_slow_twin_with_uneven_people(seed):
    chance = random.Random(seed)
    identities = [i for i in range(23) for _ in range(chance.choice([1, 2, 3, 5, 9]))]
    chance.shuffle(identities)
    sampler = by_identity(identities, 12, 3, seed=seed)
    expected = identity_batches_by_loops(identities, 12, 3, np.random.default_rng([1, seed, 4]))
    assert expected
    assert _items(sampler, 4) == expected


def test_a_person_with_too_few_pairs_is_drawn_with_replacement():
    sampler = by_identity([0, 1, 2, 2, 2], 4, 2, seed=0)
    for batch in _items(sampler, 1):
        for item in (0, 1):
            assert batch.count(item) in (0, 2)


def test_epochs_differ_and_each_is_a_function_of_seed_and_epoch():
    identities = [i for i in range(40) for _ in range(4)]
    one, two = (by_identity(identities, 16, 2, seed=3) for _ in range(2))
    first, second = _items(one, 1), _items(one, 2)
    assert first != second
    assert _items(two, 2) == second, "the second epoch must not depend on having drawn the first"
    assert _items(by_identity(identities, 16, 2, seed=4), 1) != first


def test_draws_number_the_places_of_an_epoch():
    sampler = by_identity([i for i in range(8) for _ in range(4)], 8, 2, seed=0)
    sampler.epoch = 7
    draws = [draw for batch in sampler for draw in batch]
    assert [draw.place for draw in draws] == list(range(len(draws)))
    assert {draw.epoch for draw in draws} == {7}


def test_shuffling_draws_every_pair_at_most_once_and_leaves_out_the_short_batch():
    sampler = EpochSampler(SamplerSettings(kind="shuffle", batch=5), range(23), seed=2)
    batches = _items(sampler, 1)
    assert [len(batch) for batch in batches] == [5] * 4
    assert len({item for batch in batches for item in batch}) == 20
    assert batches != _items(sampler, 2)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (SamplerSettings(batch=7, per_identity=2), "no multiple"),
        (SamplerSettings(batch=64, per_identity=2), "wants 32 people"),
        (SamplerSettings(kind="shuffle", batch=64), "only 20 training pairs"),
    ],
)
def test_a_batch_that_does_not_fit_the_data_is_a_recipe_error(settings, told):
    with pytest.raises(RecipeError, match=told):
        EpochSampler(settings, [i // 2 for i in range(20)], seed=1)
