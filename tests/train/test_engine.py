import math
from functools import partial

import pytest
import torch

from pickout.errors import ImageUnreadable, LossNotFinite, RecipeError, UsageError
from pickout.train import engine
from pickout.train.engine import launch, moved_early
from pickout.train.recipe import OptimSettings, ScheduleSettings, learning_rate
from pickout.train.run_folder import Checkpoints, TrainingState


def _equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def adam_by_loops(bench, epochs):
    """The slow twin of the engine: plain PyTorch, one loop, no accelerate."""
    torch.manual_seed(1)
    method = type(bench.method)()
    groups = {"weights": (1.0, 1.0), "bias": (2.0, 0.0)}
    schedule = bench.engine.schedule
    state = {}
    losses = []
    step = 0
    for epoch in epochs:
        bench.sampler.epoch = epoch
        batches = list(bench.sampler)
        for number, draws in enumerate(batches, start=1):
            step += 1
            batch = bench.engine._loader.collate_fn([bench.pairs[draw] for draw in draws])
            method.zero_grad()
            total = method.losses(batch, None).total
            total.backward()
            losses.append(total.item())
            factor = learning_rate(schedule, 1.0, epoch=epoch, step=number, steps=len(batches))
            for name, parameter in method.named_parameters():
                rate, decay = groups["bias" if name.endswith("bias") else "weights"]
                gradient = parameter.grad + decay * bench.optim.weight_decay * parameter.data
                first, second = state.get(name, (torch.zeros_like(parameter), torch.zeros_like(parameter)))
                first = 0.9 * first + 0.1 * gradient
                second = 0.999 * second + 0.001 * gradient**2
                state[name] = (first, second)
                root = (second / (1 - 0.999**step)).sqrt() + bench.optim.epsilon
                parameter.data -= bench.optim.learning_rate * rate * factor * first / (1 - 0.9**step) / root
    return losses, method.state_dict()


def test_the_engine_takes_the_steps_of_a_plain_loop_with_coupled_weight_decay(bench):
    """Also the paper's defaults that matter: Adam with epsilon 1e-3 and L2 inside the gradient, biases apart."""
    trained = bench(optim=OptimSettings(learning_rate=0.02, weight_decay=0.1))
    trained.method.drop.p = 0.0
    start = trained.weights()
    trained.run([1, 2, 3])
    method_class = type(trained.method)
    losses, weights = adam_by_loops(_without_dropout(trained, method_class), [1, 2, 3])
    assert not _equal(start, trained.weights())
    assert [report["loss"] for report in trained.reports] == pytest.approx(losses, rel=1e-5)
    for name, tensor in trained.weights().items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-4, atol=1e-6)


def _without_dropout(trained, method_class):
    class Plain(method_class):
        def __init__(self):
            super().__init__()
            self.drop.p = 0.0

    trained.method.__class__ = Plain
    return trained


def test_the_loss_falls(bench):
    trained = bench(schedule=ScheduleSettings(epochs=20, warm_up=1))
    trained.run(range(1, 21))
    losses = [report["loss"] for report in trained.reports]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_progress_counts_steps_over_the_whole_run_and_epochs_from_one(bench):
    trained = bench()
    trained.run([1, 2])
    steps = trained.engine.steps(1)
    assert [progress.step for progress in trained.method.seen] == list(range(1, 1 + len(trained.method.seen)))
    assert {progress.epochs for progress in trained.method.seen} == {4}
    assert [progress.epoch for progress in trained.method.seen[: steps + 1]] == [1] * steps + [2]
    assert [report["epoch"] for report in trained.reports[: steps + 1]] == [1] * steps + [2]


def test_the_learning_rate_of_each_group_follows_the_schedule(bench):
    trained = bench(schedule=ScheduleSettings(epochs=4, warm_up=2))
    rates = []
    for epoch in (1, 2, 3, 4):
        trained.run([epoch])
        rates.append([round(group["lr"], 6) for group in trained.optimiser.param_groups])
    assert rates == [[0.002, 0.004], [0.011, 0.022], [0.02, 0.04], [0.01, 0.02]]
    assert [group["weight_decay"] for group in trained.optimiser.param_groups] == [4e-5, 0.0]


def test_a_run_put_back_to_an_epochs_end_goes_on_bit_for_bit(bench, tmp_path):
    whole = bench()
    step = whole.run([1, 2])
    checkpoints = Checkpoints(tmp_path, keep=1, tell=print)
    checkpoints.save(
        TrainingState(epoch=2, step=step, best=None, journal=0, data="", seconds=0.0, **whole.engine.state())
    )
    whole.run([3, 4], step)
    again = bench(seed=99)
    again.sampler.seed = 1
    torch.rand(7)
    state = checkpoints.newest()
    again.engine.restore(state)
    again.run([3, 4], state.step)
    assert _equal(again.weights(), whole.weights())
    assert again.reports == whole.reports[-len(again.reports) :]


def test_the_random_state_matters_for_going_on(bench, tmp_path):
    """The tiny method has dropout: without the random states the continued run would differ."""
    whole = bench()
    step = whole.run([1, 2])
    checkpoints = Checkpoints(tmp_path, keep=1, tell=print)
    state = {**whole.engine.state(), "random": []}
    checkpoints.save(TrainingState(epoch=2, step=step, best=None, journal=0, data="", seconds=0.0, **state))
    whole.run([3], step)
    again = bench()
    again.engine.restore(checkpoints.newest())
    again.run([3], step)
    assert not _equal(again.weights(), whole.weights())


def test_batches_do_not_depend_on_the_number_of_workers(bench):
    alone = bench()
    alone.run([1, 2])
    helped = bench(workers=2)
    helped.run([1, 2])
    assert [report["loss"] for report in helped.reports] == [report["loss"] for report in alone.reports]
    assert _equal(helped.weights(), alone.weights())


def test_accumulated_batches_make_one_step_of_their_mean_gradient(bench):
    whole = bench(optim=OptimSettings(learning_rate=0.02, accumulate=2), accumulate=2, people=10)
    whole.method.drop.p = 0.0
    batches = len(whole.sampler)
    gradients = []
    step = whole.optimiser.step

    def watch(*args, **kwargs):
        gradients.append(whole.method.image.weight.grad.clone())
        return step(*args, **kwargs)

    whole.engine._optimiser.optimizer.step = watch
    start = whole.weights()
    whole.run([1])
    assert len(whole.reports) == whole.engine.steps(1) == len(gradients) == math.ceil(batches / 2)
    assert [report["step"] for report in whole.reports] == list(range(1, len(gradients) + 1))
    assert [p.step for p in whole.method.seen[:4]] == [1, 1, 2, 2]

    fresh = type(whole.method)()
    fresh.load_state_dict(start)
    fresh.drop.p = 0.0
    whole.sampler.epoch = 1
    totals = []
    for draws in list(whole.sampler)[:2]:
        batch = whole.engine._loader.collate_fn([whole.pairs[draw] for draw in draws])
        total = fresh.losses(batch, None).total
        (total / 2).backward()
        totals.append(total.item())
    torch.testing.assert_close(gradients[0], fresh.image.weight.grad)
    assert whole.reports[0]["loss"] == pytest.approx(sum(totals) / 2)


def test_gradients_are_clipped_to_the_norm_that_was_asked_for(bench):
    trained = bench(optim=OptimSettings(learning_rate=0.02, clip=0.01))
    norms = []
    step = trained.optimiser.step

    def watch(*args, **kwargs):
        norms.append(math.sqrt(sum(float((p.grad**2).sum()) for p in trained.method.parameters())))
        return step(*args, **kwargs)

    trained.engine._optimiser.optimizer.step = watch
    trained.run([1])
    assert norms == pytest.approx([0.01] * len(norms), rel=1e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_before_the_step_and_names_the_terms(bench, bad):
    trained = bench()
    step = trained.run([1])
    before = trained.weights()
    losses = trained.method.losses

    def spoilt(batch, progress):
        found = losses(batch, progress)
        return type(found)({**found.terms, "text": found.terms["text"] * bad}, found.weights)

    trained.method.losses = spoilt
    with pytest.raises(LossNotFinite, match=rf"step {step + 1}, epoch 2: .*image = \d.*text = (nan|inf).*checkpoint"):
        trained.run([2], step)
    assert _equal(trained.weights(), before)


def test_weights_that_the_last_step_spoilt_are_not_let_through(bench):
    trained = bench()
    step = trained.optimiser.step

    def spoil(*args, **kwargs):
        step(*args, **kwargs)
        if len(trained.reports) == trained.engine.steps(1) - 1:
            trained.method.image.weight.data[0, 0] = float("nan")

    trained.engine._optimiser.optimizer.step = spoil
    with pytest.raises(LossNotFinite, match=r"epoch 1: 'image\.weight' is not finite"):
        trained.run([1])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_named_with_a_remedy_also_from_a_worker(bench, workers):
    trained = bench(workers=workers)
    trained.sampler.epoch = 1
    trained.pairs.unreadable = list(trained.sampler)[1][0].item
    with pytest.raises(ImageUnreadable, match=r"crops/7\.jpg: not an image; .*skip_unreadable"):
        trained.run([1])


def test_bfloat16_trains_with_float32_weights(bench):
    trained = bench(precision="bf16")
    trained.run([1])
    assert {tensor.dtype for tensor in trained.weights().values()} == {torch.float32}
    full = bench()
    full.run([1])
    low, high = ([report["loss"] for report in run.reports] for run in (trained, full))
    assert low != high
    assert low == pytest.approx(high, rel=0.05)


def test_half_precision_on_a_cpu_is_refused():
    with pytest.raises(RecipeError, match="fp16' needs a GPU"), launch("cpu", "fp16", 1):
        pass


@pytest.mark.parametrize("device", ["mps", "gpu", "cuda:64", "cuda:-1", "cpu:0", "CPU", "", "meta"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_any_other_device_is_refused_and_never_silently_the_cpu(device: str, precision: str):
    with pytest.raises(UsageError, match=f"device '{device}'"), launch(device, precision, 1):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_so():
    with pytest.raises(UsageError, match="no such GPU"), launch("cuda", "fp32", 1):
        pass


@pytest.mark.parametrize(("optim", "moved"), [({}, True), ({"clip": 1.0}, False), ({"accumulate": 2}, False)])
def test_weights_that_move_on_the_way_back_take_the_same_step(bench, monkeypatch, optim, moved):
    """And no gradient is held at its end, unless clipping or accumulation needs all of them at once."""
    weights, held = [], []
    for at_once in (1, 2**40):
        monkeypatch.setattr(engine, "moved_early", partial(moved_early, at_once=at_once))
        trained = bench(accumulate=optim.get("accumulate", 1), optim=OptimSettings(learning_rate=0.02, **optim))
        step = trained.optimiser.step

        def counted(closure, step=step, method=trained.method):
            held.append(sum(parameter.grad is not None for parameter in method.parameters()))
            return step(closure)

        trained.optimiser.step = counted
        trained.run([1, 2])
        weights.append(trained.weights())
        assert (max(held) == 1) == (moved and at_once == 1), held
        held.clear()
    assert _equal(*weights)
