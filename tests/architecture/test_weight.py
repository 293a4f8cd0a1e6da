"""What is asked often stays light: help, data, text and galleries load no torch."""

import subprocess
import sys

import pytest


def _modules_after(statement: str) -> set[str]:
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\nprint('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import pickout",
        "from pickout.cli.app import main; main(['--help'])",
        "from pickout.cli.app import main; main(['search', '--help'])",
        "import pickout.data.images",
        "import pickout.text.tokenizer",
        "import pickout.synthetic.street",
        "import pickout.gallery.gallery",
    ],
)
def test_no_torch_is_imported(statement: str) -> None:
    assert "torch" not in _modules_after(statement)
