"""What the documents say of the server holds."""

import ast
import re

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


def test_every_setting_is_told_and_no_other(repository):
    text = (repository / "docs" / "serve.md").read_text().partition("## Settings")[2].partition("## ")[0]
    table = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(table))) == set(ServeSettings.model_fields)
