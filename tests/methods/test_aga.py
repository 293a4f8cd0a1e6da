"""AGA's own choices: what hides words, what enriches captions, where the new captions go, and the guards."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pickout.config import parse_settings
from pickout.data.batching import Batch
from pickout.errors import RecipeError
from pickout.methods.aga import Aga, AgaSettings
from pickout.methods.base import Method, Progress
from pickout.methods.fusion import Given, Plan
from pickout.shapes import TokenBatch
from pickout.text.build import train_tokenizer
from pickout.text.tokenizer import SpecialTokens, read_vocabulary
from tests.methods.conftest import small_fusion_encoder, small_towers, small_vision, small_vocabulary

Make = Callable[..., Method]
LATE = Progress(step=21, epoch=3, steps_per_epoch=10, epochs=4)
BROAD = {"mask_probability": 0.6, "alpha1": 0.5, "enrich_probability": 1.0}
"""Hide and enrich much, so that little data shows what happens."""


def parse(**values: Any) -> AgaSettings:
    return parse_settings(AgaSettings, values, source="test")


def made(make_method: Make, **changes: Any) -> Aga:
    method = make_method("aga", **changes)
    assert isinstance(method, Aga)
    return method.eval()


def planned(method: Aga, batch: Batch, progress: Progress = LATE) -> tuple[Given, Plan]:
    given = method.given(batch)
    chooser = method.chooser(progress, given.part, torch.device("cpu"))
    with torch.no_grad():
        return given, method.plan(given, chooser, method.vision(batch.images).tokens)


def test_defaults_are_the_papers_with_the_expected_share_mended() -> None:
    settings = parse()
    assert (settings.mask, settings.aggregation, settings.beta, settings.attention_temperature) == (
        "agm",
        "ema",
        0.95,
        0.02,
    )
    assert (settings.alpha1, settings.alpha2, settings.normalisation) == (0.05, 0.15, "mean")
    assert (settings.enrich_candidates, settings.enrich_probability, settings.enrich_unit) == (5, 0.3, "text")
    literal = parse(preset="as_paper")
    assert (literal.normalisation, literal.directions) == ("none", ("i2t", "t2i"))


def test_enriching_needs_hidden_words() -> None:
    with pytest.raises(RecipeError, match="enrich = true needs hidden words"):
        parse(word_weight=0.0)
    assert parse(word_weight=0.0, enrich=False).word_weight == 0
    assert parse(mask="off").enrich


def test_no_mask_hides_and_enriches_nothing(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method, batch = made(make_method, mask="off", enrich_probability=1.0), make_batch()
    given, plan = planned(method, batch)
    assert plan.hidden is None and plan.teacher is None
    assert torch.equal(plan.weak.online.ids, given.weak.ids)
    assert sorted(method.losses(batch, LATE).terms) == ["contrastive", "matching", "relation", "replaced"]


def test_aga_without_its_two_parts_is_fusion(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    batch, plain = make_batch(), make_method("fusion").eval()
    bare = made(make_method, mask="random", enrich=False)
    with torch.no_grad():
        expected, found = plain.losses(batch, LATE).terms, bare.losses(batch, LATE).terms
    assert {name: term.item() for name, term in found.items()} == {name: term.item() for name, term in expected.items()}


def test_attention_decides_what_is_hidden(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    batch = make_batch()
    method = made(make_method, attention_temperature=1e-4)
    given = method.given(batch)
    with torch.no_grad():
        spread = method.masking_probability(given.strong, given.content)
    words = given.content.sum(1)
    torch.testing.assert_close(spread.sum(1), 0.15 * words, atol=1e-5, rtol=1e-4)
    assert (spread[given.content] >= 0.05 - 1e-6).all()
    assert (spread[~given.content] == 0).all()
    assert spread[5].max() > spread[5][given.content[5]].min() + 0.01
    flat = made(make_method, attention_temperature=1e6).masking_probability(given.strong, given.content)
    torch.testing.assert_close(flat, 0.15 * given.content.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "change",
    [
        {"aggregation": "mean"},
        {"aggregation": "last"},
        {"beta": 0.9},
        {"debias": True},
        {"attention_temperature": 0.2},
        {"normalisation": "none"},
        {"normalisation": "max"},
        {"normalisation": "minmax"},
        {"scale": 1.0},
        {"alpha1": -0.05},
        {"alpha2": 0.3},
        {"mask": "random"},
        {"mask": "vacuous"},
    ],
)
def test_each_option_of_masking_changes_the_probabilities(
    make_method: Make, make_batch: Callable[..., Batch], change: dict[str, Any]
) -> None:
    plain, other = made(make_method), made(make_method, **change)
    given = plain.given(make_batch())
    with torch.no_grad():
        one, two = (method.masking_probability(given.strong, given.content) for method in (plain, other))
        assert not torch.allclose(one, two)


def test_the_momentum_model_may_be_asked(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method = made(make_method, attention_source="momentum")
    given = method.given(make_batch())
    with torch.no_grad():
        before = method.masking_probability(given.strong, given.content)
        method.text.embeddings.words.weight.add_(torch.randn(30, 16))
        assert torch.equal(method.masking_probability(given.strong, given.content), before)
        method.twin.text.embeddings.words.weight.add_(torch.randn(30, 16))
        assert not torch.allclose(method.masking_probability(given.strong, given.content), before)


def changed(given: Given, plan: Plan) -> Tensor:
    return plan.weak.online.ids != given.strong.ids


def test_enriched_captions_differ_at_hidden_words_alone(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method = made(make_method, **BROAD)
    given, plan = planned(method, make_batch())
    assert plan.hidden is not None
    different = changed(given, plan)
    assert different.any()
    assert not (different & ~plan.hidden.chosen).any()
    assert method.whole_words[plan.weak.online.ids[different]].all()
    assert method.continues is not None
    # A word of several pieces stays: no piece that goes on with a word stands at or behind a replaced place.
    behind = torch.zeros_like(different)
    behind[:, 1:] = different[:, :-1]
    began = torch.zeros_like(different)
    began[:, 1:] = given.content[:, :-1]
    goes_on = method.continues[given.strong.ids] & given.content & began
    assert goes_on.any()
    assert not (goes_on & (different | behind)).any()
    assert plan.logs["enriched_share"] == pytest.approx(float(different.any(1).float().mean()))
    assert torch.equal(plan.weak.momentum.ids, plan.weak.online.ids)


def test_only_hidden_words_may_be_replaced(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    batch = make_batch()
    given, plan = planned(made(make_method, **BROAD, enrich_positions="hidden"), batch)
    everything, all_plan = planned(made(make_method, **BROAD), batch)
    assert plan.hidden is not None and all_plan.hidden is not None
    masked = plan.hidden.ids == 27
    assert torch.equal(all_plan.hidden.ids, plan.hidden.ids)
    assert changed(given, plan).any()
    assert not (changed(given, plan) & ~masked).any()
    assert (changed(everything, all_plan) & ~masked).any()


def test_the_pass_that_is_read_may_be_without_dropout(make_batch: Callable[..., Batch]) -> None:
    towers = small_towers("aga", dropout=0.5)
    for dropout in (True, False):
        settings = parse(queue=16, negative_group=4, attention_dropout=dropout)
        method = Aga(settings, *towers, 4, small_vocabulary()).train()
        given = method.given(make_batch())
        with torch.no_grad():
            first, second = (
                method.masking_probability(given.strong, given.content),
                method.masking_probability(given.strong, given.content),
            )
        assert torch.equal(first, second) is not dropout
        assert method.text.training and method.text.text_layers[0].training


def test_a_tokenizer_that_does_not_know_whole_words_is_refused_in_training_alone() -> None:
    vocabulary = read_vocabulary("clip", ("jack", "et</w>", "<|mask|>", "a", "b"), SpecialTokens(0, 3, 4, 2))
    assert vocabulary.whole_words is None
    settings = parse(queue=16)
    with pytest.raises(RecipeError, match="does not tell whole words from parts of words"):
        Aga(settings, *small_towers("aga"), 4, vocabulary)
    assert Aga(settings, *small_towers("aga"), 0, vocabulary).momentum is None
    assert Aga(parse(queue=16, enrich_any_piece=True), *small_towers("aga"), 4, vocabulary).momentum


def test_guards_can_be_lifted(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method = made(make_method, **BROAD, enrich_special=True, enrich_any_piece=True)
    with torch.no_grad():
        method.twin.word_head.bias[29] = 100.0
    given, plan = planned(method, make_batch())
    assert (plan.weak.online.ids[changed(given, plan)] == 29).any()
    guarded = made(make_method, **BROAD)
    guarded.load_state_dict(method.state_dict())
    given, plan = planned(guarded, make_batch())
    assert not (plan.weak.online.ids[changed(given, plan)] == 29).any()


def with_weak(batch: Batch, captions: Callable[..., TokenBatch]) -> Batch:
    weak = captions([4] * 6, seed=9)
    return replace(batch, weak_texts=weak, replaced=torch.ones(6, dtype=torch.int64))


def test_weak_captions_stay_unless_told(
    make_method: Make, make_batch: Callable[..., Batch], make_captions: Callable[..., TokenBatch]
) -> None:
    batch = with_weak(make_batch(), make_captions)
    given, plan = planned(made(make_method, **BROAD), batch)
    assert torch.equal(plan.weak.online.ids, given.weak.ids)
    assert plan.weak.replaced.tolist() == [1] * 6
    given, plan = planned(made(make_method, **BROAD, enrich_weak=True), batch)
    taken = plan.weak.replaced == 0
    assert taken.any()
    assert torch.equal(plan.weak.online.mask[taken], given.strong.mask[taken])
    assert torch.equal(plan.weak.online.ids[~taken], given.weak.ids[~taken])


def test_the_momentum_model_may_keep_the_old_caption(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    given, plan = planned(made(make_method, **BROAD, enrich_view="online"), make_batch())
    assert changed(given, plan).any()
    assert torch.equal(plan.weak.momentum.ids, given.weak.ids)


def test_each_word_may_be_decided_by_itself(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(6)
    whole = planned(made(make_method, **BROAD | {"enrich_probability": 0.5}), batch)
    word = planned(made(make_method, **BROAD | {"enrich_probability": 0.5, "enrich_unit": "word"}), batch)
    everything = changed(*planned(made(make_method, **BROAD), batch))

    def partly(outcome: tuple[Given, Plan]) -> int:
        some = changed(*outcome)
        return int((some.any(1) & (some != everything).any(1)).sum())

    assert partly(whole) == 0
    assert partly(word) > 0


def test_online_guesses_differ_from_momentum_guesses(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    batch = make_batch()
    outcomes = []
    for source in ("momentum", "online"):
        method = made(make_method, **BROAD, enrich_logits=source, enrich_candidates=2)
        with torch.no_grad():
            method.word_head.bias.copy_(torch.arange(30.0))
            method.twin.word_head.bias.copy_(-torch.arange(30.0))
        given, plan = planned(method, batch)
        outcomes.append(plan.weak.online.ids[changed(given, plan)].float().mean())
    assert outcomes[0] < outcomes[1]


@pytest.mark.parametrize("source", ["attention_source", "enrich_logits"])
def test_asking_the_online_model_leaves_its_gradients_whole_under_autocast(
    make_method: Make, make_batch: Callable[..., Batch], source: str
) -> None:
    found = []
    for value in ("online", "momentum"):
        method = made(make_method, **{source: value}).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            method.losses(make_batch(), LATE).total.backward()
        gradients = [p.grad for p in method.parameters() if p.requires_grad]
        assert all(gradient is not None for gradient in gradients)
        found.append(sum(float(g.abs().sum()) for g in gradients if g is not None))
    # An online pass whose casts were kept would cut the text layers off from their gradient.
    assert found[0] == pytest.approx(found[1], rel=0.3)


def test_logs_tell_what_was_hidden_and_enriched(make_method: Make, make_batch: Callable[..., Batch]) -> None:
    method = made(make_method, enrich_probability=1.0)
    method.vacuous[:14] = True
    given, plan = planned(method, make_batch())
    logs, chosen, content = plan.logs, plan.hidden.chosen, given.content
    empty = chosen & method.vacuous_positions(given.strong.ids, content)
    probability = method.masking_probability(given.strong, content)
    assert logs["hidden_share"] == pytest.approx(int(chosen.sum()) / int(content.sum()))
    assert logs["hidden_vacuous"] == pytest.approx(int(empty.sum()) / int(chosen.sum()))
    assert logs["hiding_largest"] == pytest.approx(float(probability.max()))
    assert 0 < logs["hidden_share"] < 1
    assert logs["hiding_mean"] == pytest.approx(0.15, abs=1e-3)
    assert logs["hiding_largest"] >= logs["hiding_mean"]
    assert 0 < logs["hidden_vacuous"] <= 1
    assert 0 < logs["enriched_share"] <= 1


def test_enriched_captions_of_a_learnt_vocabulary_are_made_of_words() -> None:
    colours = ("red", "reddish", "teal", "turquoise", "olive", "black")
    captions = [f"a woman in a {colour} jacket and {other} trousers" for colour in colours for other in colours]
    tokenizer = train_tokenizer(captions, 420, 12, closing=False, cleaning="albef")
    torch.manual_seed(0)
    encoder = small_fusion_encoder(size=tokenizer.vocabulary_size, start=tokenizer.special.start, end=None)
    settings = parse(queue=16, negative_group=4, **BROAD)
    method = Aga(settings, small_vision("vit"), encoder, 4, tokenizer.vocabulary).eval()
    ids = torch.from_numpy(tokenizer.encode(captions[::6]))
    batch = Batch(torch.randn(len(ids), 3, 48, 16), TokenBatch(ids, ids != 0), torch.arange(len(ids)))
    given, plan = planned(method, batch)
    new = [tokenizer.decode(row) for row in plan.weak.online.ids]
    assert changed(given, plan).any()
    known = {word for caption in captions for word in caption.split()}
    assert {word for caption in new for word in caption.split()} <= known
    pieces = parse(queue=16, negative_group=4, enrich_any_piece=True, **BROAD)
    free = Aga(pieces, small_vision("vit"), encoder, 4, tokenizer.vocabulary).eval()
    broken = [tokenizer.decode(row) for row in planned(free, batch)[1].weak.online.ids]
    assert not {word for caption in broken for word in caption.split()} <= known
