"""Keeping freed memory must never stop a run, whatever the C library."""

import ctypes
import platform
import subprocess
import sys

import pytest

from pickout.train.engine import keep_freed_memory

_TAKES_IT = "from pickout.train.engine import keep_freed_memory; raise SystemExit(0 if keep_freed_memory() else 1)"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_glibc_takes_the_setting() -> None:
    """In a process of its own, because the setting lasts."""
    assert subprocess.run([sys.executable, "-c", _TAKES_IT], check=False).returncode == 0


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
