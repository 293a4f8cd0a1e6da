"""What the documents say of the server holds."""

import ast
import re
from fnmatch import fnmatch

import typer
from test_access import MATRIX

from pickout.cli.app import build
from pickout.serve.settings import ServeSettings

REQUIREMENTS = (
    "3.2.1 3.2.2 3.3.1 3.3.3 3.4.3 3.4.4 3.4.5 3.4.6 3.5.1 3.5.2 3.5.3 5.1.1 5.2.1 5.2.2 5.2.3 5.2.4 5.2.5 5.2.6 5.3.2 "
    "5.3.3 5.4.1 5.4.2 8.2.1 8.2.2 8.2.3 8.3.1 8.3.2 16.1.1 16.2.1 16.2.2 16.3.1 16.3.2 16.4.1 16.4.2 16.4.3 16.5.1 "
    "16.5.2 16.5.3 16.5.4"
)


def test_every_requirement_has_a_row_and_every_named_test_is_there(repository):
    text = (repository / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| (\d+\.\d+\.\d+) [^|]+\|[^|]+\| `(test_\w+)` \|$", text, re.MULTILINE)
    assert [number for number, _ in rows] == REQUIREMENTS.split()
    tests = {
        node.name
        for file in (repository / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 20 and named <= tests, named - tests


def test_every_command_is_told_with_its_routes_and_those_are_there(repository):
    text = (repository / "docs" / "serve.md").read_text().partition("| command | route")[2].partition("## ")[0]
    rows = [
        (re.findall("`([^`]+)`", left), right) for left, right in re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", text, re.M)
    ]
    told = [name for names, _ in rows for name in names]
    commands = {path.removeprefix("pickout ") for path in paths(typer.main.get_command(build()), "pickout")}
    assert not [path for path in commands if not any(fnmatch(path, name) for name in told)]
    assert not [name for name in told if not any(fnmatch(path, name) for path in commands)]
    for names, right in rows:
        routes = re.findall(r"`((?:GET|POST|PUT|DELETE) [^`]+)`", right)
        assert routes or right.startswith("none: "), names
        for method, path in (route.split(" ") for route in routes):
            whole = path if path.startswith(("/tokens", "/galleries")) else "/galleries/{gallery}" + path
            assert f"{method} /v1{whole}" in MATRIX, names


def paths(command, path):
    """Every runnable command."""
    inner = getattr(command, "commands", None)
    return (
        [path] if inner is None else [each for name, child in inner.items() for each in paths(child, f"{path} {name}")]
    )


def test_every_setting_is_told_and_no_other(repository):
    text = (repository / "docs" / "serve.md").read_text().partition("## Settings")[2].partition("## ")[0]
    table = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(table))) == set(ServeSettings.model_fields)
