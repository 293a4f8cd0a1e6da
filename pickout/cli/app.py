"""The `pickout` command: gathers the commands, turns errors into one line and an exit code.

Of several commands only the one that was typed is imported; nothing heavy stands at the top of a command's file, so
that `pickout --help` loads no torch."""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

import typer

from pickout.cli import terminal
from pickout.errors import INTERRUPTED, PickoutError, printable

COMMANDS: Sequence[str] = (
    *("demo", "data", "train", "evaluate", "study", "video", "index", "search", "saved", "gallery", "calibrate"),
    *("adapt", "export", "bench", "explain", "serve", "token", "retention", "audit", "case", "mcp", "weights"),
)  # in the order of `pickout --help`; each has a file of its name, but for those of `_ELSEWHERE`
_ELSEWHERE = {"saved": "search", "mcp": "serve"}


def command(name: str) -> Callable[..., Any] | typer.Typer:
    """The function or group of a command."""
    module = import_module(f"pickout.cli.{_ELSEWHERE.get(name, name)}")
    found: Callable[..., Any] | typer.Typer = getattr(module, "app", None) or getattr(module, name)
    return found


def build(names: Iterable[str] | None = None) -> typer.Typer:
    """The application with the commands of these names; by default every one."""
    app = typer.Typer(
        name="pickout",
        help="Find people in images from a sentence. Results are candidates, not identifications.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(lambda: None)  # or typer would take a lone command for the application
    for name in COMMANDS if names is None else names:
        found = command(name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 usage, 3 bad input, 4 nothing found, 130 interrupted."""
    _prepare_streams()
    words = terminal.typed = sys.argv[1:] if arguments is None else arguments
    try:
        build(words[:1] if words and words[0] in COMMANDS else None)(args=arguments, prog_name="pickout")
    except PickoutError as error:
        _fail(str(error), error.exit_code)
    except SystemExit as stop:
        distributed = sys.modules.get("torch.distributed")  # not imported for it: most commands never load torch
        if not stop.code and distributed and distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()  # that a launcher's processes share: none is cut off by another's exit
        # Typer turns Ctrl-C into this exit code and says nothing.
        if stop.code != INTERRUPTED[0]:
            raise
        _fail(INTERRUPTED[1], INTERRUPTED[0])
    except OSError as error:  # the last net: what the system refused and where, for the cases no part foresaw
        at = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            told = "no space left on the device; free some and run the same command again"
        else:
            reason = (error.strerror or str(error)).lower()
            told = f"{reason}; check that the path is right and that you may read and write there"
        _fail(at + told, PickoutError.exit_code)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        told = (str(error).splitlines() or [""])[0].rpartition("] ")[2][:200] or "no more to be had"
        _fail(f"not enough memory: {told}; give smaller sizes or batches, or another --device", PickoutError.exit_code)


def _prepare_streams() -> None:
    """Let a terminal that does not know a letter show it as `\\xe9`, where Python would end with a traceback, and
    streams that the caller closed be empty ones."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, code: int) -> None:
    # A name with a line end in it cannot begin a line of its own.
    sys.stderr.write("error: " + printable(message, keep="\n").replace("\n", "\n  ") + "\n")
    raise SystemExit(code)
