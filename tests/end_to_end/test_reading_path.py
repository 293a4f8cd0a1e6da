"""The README's reading path and the glossary lead to what is there, and the path stays short."""

import ast
import re
from importlib import import_module
from pathlib import Path


def _steps(repository: Path) -> list[tuple[str, list[str]]]:
    text = (repository / "README.md").read_text().split("## Reading the code")[1].split("\n## ")[0]
    lines = re.findall(r"^\d+\. `([\w/]+\.py)`: (.*?) - ", text, re.MULTILINE)
    return [(file, re.findall(r"`(\w+)`", names)) for file, names in lines]


def test_the_reading_path_is_at_most_a_thousand_lines_of_ours(repository: Path) -> None:
    steps, total = _steps(repository), 0
    assert len(steps) == 22
    for file, names in steps:
        defined = {
            node.name: node
            for node in ast.parse((repository / file).read_text()).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        for name in names:
            assert name in defined, f"{file} defines no {name}"
            total += (defined[name].end_lineno or 0) - defined[name].lineno + 1
    assert 600 < total <= 1000, total


def test_every_place_in_the_glossary_can_be_imported(repository: Path) -> None:
    places = set(re.findall(r"`(pickout\.[\w.]+)`", (repository / "docs" / "glossary.md").read_text()))
    assert len(places) >= 12
    for place in sorted(places):
        import_module(place)
