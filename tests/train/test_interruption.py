import signal

import pytest

from pickout.train.display import Display
from pickout.train.run_folder import Checkpoints
from pickout.train.training import Interruption, train


class _Stop(Display):
    """Asks to terminate when the journal gets a line of `event` for the `count`th time; remembers what was said."""

    def __init__(self, event="", count=1):
        self.asked, self.left, self.said = event, count, []

    def say(self, message):
        self.said.append(message)

    def event(self, event, fields):
        self.left -= event == self.asked
        if event == self.asked and self.left == 0:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_at_once_or_put_off_to_the_next_check(number):
    interruption = Interruption()
    with pytest.raises(KeyboardInterrupt), interruption.listening():
        signal.raise_signal(number)
    reached = []
    with pytest.raises(KeyboardInterrupt), interruption.listening(), interruption.deferred():
        interruption.check()
        signal.raise_signal(number)
        reached.append("the end of the step")
        interruption.check()
        reached.append("never")
    assert reached == ["the end of the step"]


def test_a_signal_without_a_check_is_heard_when_the_block_ends():
    interruption = Interruption()
    reached = []
    with pytest.raises(KeyboardInterrupt), interruption.listening():
        with interruption.deferred():
            signal.raise_signal(signal.SIGTERM)
            reached.append("inside")
        reached.append("never")
    assert reached == ["inside"]


def test_a_second_signal_is_always_heard_at_once():
    interruption = Interruption()
    reached = []
    with pytest.raises(KeyboardInterrupt), interruption.listening(), interruption.deferred():
        signal.raise_signal(signal.SIGINT)
        reached.append("one")
        signal.raise_signal(signal.SIGINT)
        reached.append("two")
    assert reached == ["one"]


def test_the_handlers_before_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interruption().listening():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    ("event", "count", "told"),
    [
        ("start", 1, "stopped in epoch 1; the same command starts again"),
        ("epoch", 1, "stopped in epoch 1; the same command starts again"),
        ("epoch", 2, "stopped in epoch 2; the same command goes on after epoch 1"),
        ("epoch", 3, "stopped in epoch 3; the same command goes on after epoch 2"),
    ],
)
def test_a_stop_before_an_epoch_is_kept_says_where_the_run_goes_on(recipe, tmp_path, event, count, told):
    display = _Stop(event, count)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path / "run", device="cpu", display=display)
    assert display.said[-1] == told


@pytest.mark.parametrize(("epoch", "stopped"), [(1, 2), (2, 3), (3, 3)])
def test_a_stop_while_an_epoch_is_kept_comes_after_it_and_says_so(recipe, tmp_path, monkeypatch, epoch, stopped):
    save, display = Checkpoints.save, _Stop()

    def saved(self, state):
        if state.epoch == epoch:
            signal.raise_signal(signal.SIGTERM)
        return save(self, state)

    monkeypatch.setattr(Checkpoints, "save", saved)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path / "run", device="cpu", display=display)
    assert display.said[-1] == f"stopped in epoch {stopped}; the same command goes on after epoch {epoch}"
    monkeypatch.undo()
    again = _Stop()
    assert train(recipe(), tmp_path / "run", device="cpu", display=again)["epochs"] == 3
    assert any(line.startswith(f"going on after epoch {epoch} of 3") for line in again.said)
