import numpy as np
import pytest

from pickout.evaluate.metrics import BootstrapSettings, bootstrap


def bootstrap_by_loops(values: np.ndarray, identity: np.ndarray, settings: BootstrapSettings) -> np.ndarray:
    """Resample people one at a time, pile up their queries, average."""
    people = sorted(set(identity.tolist()))
    generator = np.random.default_rng(settings.seed)
    means = []
    for _ in range(settings.resamples):
        times = generator.multinomial(len(people), np.full(len(people), 1 / len(people)))
        pile = []
        for person, count in zip(people, times, strict=True):
            for _ in range(count):
                pile.extend(values[identity == person].tolist())
        means.append(np.mean(pile, axis=0))
    tail = 50 * (1 - settings.level)
    return np.percentile(means, [tail, 100 - tail], axis=0)


def queries(generator: np.random.Generator, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Hits that hang together within a person; the true mean is 60."""
    skill = generator.beta(1.2, 0.8, people)
    identity = np.repeat(np.arange(people), generator.integers(1, 6, people))
    return 100.0 * (generator.random(len(identity)) < skill[identity])[:, None], identity


def test_intervals_equal_those_of_the_loop():
    generator = np.random.default_rng(1)
    identity = generator.integers(100, 112, 50)
    values = generator.normal(size=(50, 3))
    settings = BootstrapSettings(resamples=60, seed=7)
    intervals = bootstrap(values, identity, settings)
    expected = bootstrap_by_loops(values, identity, settings)
    np.testing.assert_allclose(list(intervals), expected)


def test_an_equal_seed_gives_equal_intervals_and_another_seed_others():
    values, identity = queries(np.random.default_rng(2), 40)
    one, same, other = (bootstrap(values, identity, BootstrapSettings(seed=seed)) for seed in (3, 3, 4))
    assert one[0].tolist() == same[0].tolist()
    assert one[1].tolist() == same[1].tolist()
    assert (one[0].tolist(), one[1].tolist()) != (other[0].tolist(), other[1].tolist())


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        values, identity = queries(generator, 80)
        interval = bootstrap(values, identity, BootstrapSettings(resamples=300, seed=trial))
        covered += bool(interval[0][0] <= 60 <= interval[1][0])
    assert 0.89 <= covered / 200 <= 0.99


def test_drawing_people_gives_wider_intervals_than_drawing_queries():
    values, identity = queries(np.random.default_rng(6), 80)
    together = bootstrap(values, identity, BootstrapSettings())
    apart = bootstrap(values, np.arange(len(identity)), BootstrapSettings())
    assert together[1][0] - together[0][0] > 1.2 * (apart[1][0] - apart[0][0])


def test_a_wider_level_gives_a_wider_interval():
    values, identity = queries(np.random.default_rng(7), 60)
    narrow, wide = (bootstrap(values, identity, BootstrapSettings(level=level)) for level in (0.5, 0.99))
    assert wide[0][0] < narrow[0][0] < narrow[1][0] < wide[1][0]


def test_one_person_alone_gives_an_interval_without_width():
    values = np.array([[0.0], [100.0]])
    interval = bootstrap(values, np.array([3, 3]), BootstrapSettings(resamples=20))
    assert interval[0].tolist() == interval[1].tolist() == pytest.approx([50.0])
