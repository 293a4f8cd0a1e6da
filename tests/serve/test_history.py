"""The checker of histories, held against trying every order."""

import random
import subprocess
import sys
from itertools import permutations

import pytest
from history import Call, explained


def by_every_order(calls):
    """Slow twin: some order that keeps calls which did not overlap, with any of the unanswered left out."""
    for order in permutations(calls):
        if any(later.ended < earlier.began for place, earlier in enumerate(order) for later in order[place + 1 :]):
            continue
        state, good = None, True
        for call in order:
            possible, after = call.after(state)
            if possible:
                state = after
            elif call.ended != float("inf"):
                good = False
                break
        if good:
            return True
    return False


def drawn(generator, count):
    calls = []
    for _ in range(count):
        began = generator.uniform(0, 10)
        ended = float("inf") if generator.random() < 0.1 else began + generator.uniform(0.1, 6)
        kind = generator.choice(("add", "update", "erase", "look", "look"))
        value = generator.choice(("a", "b", None)) if kind == "look" else generator.choice("ab")
        done = generator.choice((True, False, None)) if kind in ("update", "erase") else None
        if not (kind == "look" and ended == float("inf")):
            calls.append(Call(began, ended, kind, value, done))
    return calls


def test_the_checker_agrees_with_trying_every_order():
    generator, found = random.Random(1), {True: 0, False: 0}
    for _ in range(400):
        calls = drawn(generator, generator.randint(1, 6))
        expected = by_every_order(calls)
        assert explained(calls) == expected, calls
        found[expected] += 1
    assert min(found.values()) > 50


def test_known_histories():
    assert explained([Call(0, 1, "add", "a"), Call(2, 3, "look", "a")])
    assert not explained([Call(0, 1, "add", "a"), Call(2, 3, "look", None)])  # a lost row
    assert explained([Call(0, 3, "add", "a"), Call(1, 2, "look", None), Call(1, 2, "look", "a")])
    assert not explained([Call(0, 1, "add", "a"), Call(2, 3, "erase", None), Call(4, 5, "look", "a")])  # it came back
    assert not explained([Call(0, 9, "add", "a"), Call(1, 2, "look", "a"), Call(3, 4, "look", None)])  # new, then old
    assert explained([Call(0, 1, "add", "a"), Call(2, float("inf"), "erase", None), Call(4, 5, "look", "a")])


@pytest.mark.slow
@pytest.mark.parametrize(("plant", "code"), [(False, 0), (True, 1)])
def test_a_planted_fault_is_found_and_without_it_none(repository, plant, code):
    words = [sys.executable, str(repository / "benchmarks" / "history.py"), "--seconds", "25", "--processes", "2"]
    done = subprocess.run([*words, *(["--plant"] if plant else [])], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
