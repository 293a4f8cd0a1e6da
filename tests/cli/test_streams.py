"""What the command line does without its streams or a home, and when it is interrupted early."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import pickout
from pickout.cli.app import main

SOURCE = Path(pickout.__file__).parent.parent
ENVIRONMENT = {"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def run(arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    """`python -m pickout`, with redirections of a shell."""
    return subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m pickout {arguments} {shell}"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=120,
    )


def test_the_package_is_a_command() -> None:
    done = run("--help")
    assert done.returncode == 0 and "Usage: pickout" in done.stdout


@pytest.mark.parametrize("shell", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_traceback(shell: str) -> None:
    assert run("weights list --json", shell).returncode == 0
    done = run("weights get nosuch", shell)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_question_without_a_terminal_to_ask_is_an_error(tmp_path: Path) -> None:
    done = run(f"gallery compact {tmp_path}", "<&-")
    assert done.returncode in (2, 3) and "Traceback" not in done.stderr


def test_a_user_without_a_home_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(_: int) -> None:
        raise KeyError("no such user")

    for name in ("HOME", "XDG_CACHE_HOME", "PICKOUT_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(SystemExit) as stop:
        main(["weights", "get", "bert-base-uncased"])
    assert stop.value.code == 3
    assert capsys.readouterr().err.startswith(
        "error: no folder for weights: this user has no home; set PICKOUT_WEIGHTS"
    )
    with pytest.raises(SystemExit) as stop:
        main(["weights", "list", "--json"])
    assert stop.value.code == 0 and '"here": false' in capsys.readouterr().out


def test_ctrl_c_in_the_first_half_second_is_one_line() -> None:
    """While our own files are being imported: before that, Python itself has the word."""
    told = set()
    for wait in (0.0, 0.1, 0.3):
        # A shell's background jobs begin with Ctrl-C ignored, and their children inherit that.
        heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        code = f"{heard}; from pickout.__main__ import main; print('begun', flush=True); main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "weights", "list"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        told.add((process.returncode, error))
    assert told <= {(130, "error: interrupted; run the same command again to go on where it can\n"), (0, "")}
    assert any(code == 130 for code, _ in told)


def test_ctrl_c_in_a_callback_of_python_is_not_lost() -> None:
    """An exception in a finaliser, as the import system has them, is ignored; the interruption must not be."""
    code = textwrap.dedent("""
        import pickout.cli.app, signal, time
        from pickout.__main__ import main
        signal.signal(signal.SIGINT, signal.default_int_handler)
        class Held:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)
        def run():
            held = Held()
            del held
            for _ in range(1000):
                time.sleep(0.01)
        pickout.cli.app.main = run
        main()
    """)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert process.returncode == 130
    assert process.stderr == "error: interrupted; run the same command again to go on where it can\n"


def test_memory_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def greedy() -> None:
        import torch

        torch.empty(1 << 60)

    monkeypatch.setattr("pickout.cli.app.command", lambda name: greedy)
    with pytest.raises(SystemExit) as stop:
        main(["demo"])
    assert stop.value.code == 3
    assert capsys.readouterr().err.startswith("error: not enough memory: ")


def test_a_command_does_not_load_the_client_of_a_catalogue(tmp_path):
    """It takes LanceDB a second; who imports Pickout has it as ever."""
    told = "print([n for n, m in sys.modules.items() if n.startswith('lance_namespace_urllib3') and m.__spec__.origin])"
    ask = f"sys.argv = ['pickout', 'gallery', 'info', {str(tmp_path / 'none')!r}]"
    command = f"import sys; {ask}\nfrom pickout.__main__ import main\ntry: main()\nexcept SystemExit: {told}"
    ran = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=SOURCE)
    assert ran.stdout.strip() == "[]" and "no gallery there" in ran.stderr
    library = f"import sys, pickout.gallery.gallery; {told}"
    ran = subprocess.run([sys.executable, "-c", library], capture_output=True, text=True, check=True, cwd=SOURCE)
    assert "lance_namespace_urllib3_client" in ran.stdout
