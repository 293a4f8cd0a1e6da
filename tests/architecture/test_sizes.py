"""The code stays readable: short files, short functions, no unfinished marks."""

import ast
import re
from pathlib import Path

_FILE_LINES = 320
_FUNCTION_LINES = 65


def _sources(repository: Path) -> list[Path]:
    return sorted([*(repository / "pickout").rglob("*.py"), *(repository / "benchmarks").rglob("*.py")])


def test_no_file_is_long(repository: Path) -> None:
    sizes = {str(f.relative_to(repository)): len(f.read_text().splitlines()) for f in _sources(repository)}
    assert {name: size for name, size in sizes.items() if size > _FILE_LINES} == {}


def test_no_function_is_long(repository: Path) -> None:
    long = {}
    for file in _sources(repository):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > _FUNCTION_LINES:
                    long[f"{file.relative_to(repository)}:{node.lineno} {node.name}"] = size
    assert long == {}


def test_nothing_is_marked_unfinished(repository: Path) -> None:
    mark = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]))
    files = [*_sources(repository), *(repository / "tests").rglob("*.py"), *(repository / "docs").rglob("*.md")]
    marked = [str(f.relative_to(repository)) for f in files if mark.search(f.read_text())]
    assert marked == []


def test_annotations_are_evaluated(repository: Path) -> None:
    """jaxtyping reads annotations at run time, so the package must not turn them into strings."""
    lazy = [
        str(f) for f in (repository / "pickout").rglob("*.py") if "from __future__ import annotations" in f.read_text()
    ]
    assert lazy == []
