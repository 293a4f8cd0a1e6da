"""Keeping freed memory must never stop a run, whatever the C library."""

import ctypes
import subprocess
import sys

import pytest

from pickout.train.memory import keep_freed_memory

_FAULTS = """
import resource, sys
from pickout.train.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
import torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    held = [torch.ones(4_000_000) for _ in range(8)]
for _ in range(3):
    work()
before = faults()
for _ in range(20):
    work()
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_kept_memory_is_not_faulted_in_again() -> None:
    counts = [
        int(subprocess.run([sys.executable, "-c", _FAULTS, mode], check=True, capture_output=True).stdout)
        for mode in ("keep", "plain")
    ]
    assert counts[0] < counts[1] / 10


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
