"""Learning rates and weight decays by parameter (the spec's E11, at schedule factor 1)."""

from collections.abc import Callable

import pytest

from pickout.methods.base import Method

RATE, DECAY = 1e-5, 4e-5


def rates(method: Method) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each parameter by name, for the paper's recipe."""
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    return {
        names[id(parameter)]: (RATE * group.learning_rate_scale, DECAY * group.weight_decay_scale)
        for group in method.parameter_groups()
        for parameter in group.parameters
    }


@pytest.mark.parametrize(
    ("parameter", "rate", "decay"),
    [
        ("vision.patches.weight", 1e-5, DECAY),
        ("vision.class_token", 1e-5, DECAY),
        ("text.positions", 1e-5, DECAY),
        ("text.transformer.layers.0.attention.project_in.weight", 1e-5, DECAY),
        ("text.transformer.layers.0.attention.project_in.bias", 2e-5, 0),
        ("vision.norm_out.weight", 1e-5, DECAY),
        ("vision.norm_out.bias", 2e-5, 0),
        ("global_objective.heads.pair_classifier.weight", 5e-5, DECAY),
        ("global_objective.heads.pair_classifier.bias", 5e-5, 0),
        ("local_objective.heads.identity_classifier.weight", 5e-5, DECAY),
        ("local_objective.heads.identity_classifier.bias", 5e-5, 0),
        ("local_objective.heads.fusion.weight", 1e-5, DECAY),
        ("local_objective.heads.fusion.bias", 2e-5, 0),
        ("image_head.adapter.inner.weight", 1e-3, DECAY),
        ("image_head.adapter.norm.weight", 1e-3, DECAY),
        ("text_head.adapter.outer.bias", 1e-3, 0),
    ],
)
def test_rates_of_the_released_program(
    make_method: Callable[..., Method], parameter: str, rate: float, decay: float
) -> None:
    assert rates(make_method("itself"))[parameter] == (pytest.approx(rate), pytest.approx(decay))


def test_rates_are_settings(make_method: Callable[..., Method]) -> None:
    changed = rates(make_method("itself", grab_rate=10.0, bias_rate=1.0, bias_decay=1.0, classifier_rate=3.0))
    assert changed["image_head.adapter.inner.bias"] == (pytest.approx(1e-4), pytest.approx(DECAY))
    assert changed["vision.norm_in.bias"] == (pytest.approx(1e-5), pytest.approx(DECAY))
    assert changed["global_objective.heads.identity_classifier.bias"][0] == pytest.approx(3e-5)


def test_the_learned_pool_and_its_biases_learn_at_the_heads_rate(make_method: Callable[..., Method]) -> None:
    changed = rates(make_method("itself", pool="gpo"))
    assert changed["text_head.pool.reader.weight_ih_l0"] == (pytest.approx(1e-3), pytest.approx(DECAY))
    assert changed["text_head.pool.reader.bias_ih_l0"] == (pytest.approx(1e-3), 0)


def test_groups_are_named_for_the_journal(make_method: Callable[..., Method]) -> None:
    names = [group.name for group in make_method("itself").parameter_groups()]
    assert sorted(names) == [
        *("base", "base.bias", "classifier", "classifier.bias"),
        *("image_head", "image_head.bias", "text_head", "text_head.bias"),
    ]
    assert sorted(group.name for group in make_method("dual").parameter_groups()) == sorted(names)[:4]
