import signal

import pytest

from pickout.train.system import Interruption


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
