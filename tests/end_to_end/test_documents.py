"""Commands in the documents exist with the options shown, shipped recipes and linked files are there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pickout.cli.app import build
from pickout.train.recipe import shipped_recipes

_ROOT = Path(__file__).resolve().parents[2]
_DOCUMENTS = sorted([_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *(_ROOT / "docs").rglob("*.md")])


def _commands(document: Path) -> Iterator[list[str]]:
    for line in document.read_text(encoding="utf-8").splitlines():
        match = re.match(r"    (?:\.venv/bin/)?pickout (.+)", line)
        if match and document.name != "help.md":
            yield shlex.split(match[1], comments=True)


def _find(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(build())
    rest = list(words)
    while getattr(command, "commands", None) is not None:
        default = getattr(command, "default", None)
        command = command.commands[default if default and rest[0] not in command.commands else rest.pop(0)]
    return command, rest


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_shown_exists_with_its_options(document: Path) -> None:
    for words in _commands(document):
        command, rest = _find(words)
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, words
        if words[0] == "train" and rest and not rest[0].endswith(".toml") and rest[0] != "RECIPE":
            assert rest[0] in shipped_recipes(), words


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.stem)
def test_every_local_link_leads_to_a_file(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_readme_shows_commands() -> None:
    assert len(list(_commands(_ROOT / "README.md"))) >= 8


def test_every_python_example_compiles() -> None:
    for document in _DOCUMENTS:
        for block in re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL):
            compile(block, str(document), "exec")
