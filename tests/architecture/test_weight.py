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


def test_the_default_model_loads_and_reads_a_sentence_without_pytorchs_compiler() -> None:
    """Its import takes a second; drawing starting weights that a file replaces is what asked for it."""
    statement = "import pickout; pickout.load('pickout-small').encode_texts(['a man in a red coat'])"
    modules = _modules_after(statement)
    assert "torch" in modules
    assert not {"torch._dynamo", "sympy"} & modules
