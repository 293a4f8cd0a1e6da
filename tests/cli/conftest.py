"""Commands as they are typed, over an encoder that needs no weights."""

import sys
from pathlib import Path

import pytest

from pickout.cli.app import main

sys.path.insert(0, str(Path(__file__).parents[1] / "gallery"))

from colour_encoder import ColourEncoder


@pytest.fixture
def run(monkeypatch, capsys):
    """run(arguments...) -> (exit code, stdout, stderr); every model is the colour encoder, called as its place."""
    for name in ("load_model", "load_encoder"):
        monkeypatch.setattr(f"pickout.cli.model.{name}", lambda model, device, runtime="torch": ColourEncoder(model))

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        out, errors = capsys.readouterr()
        assert "Traceback" not in errors
        return int(stop.value.code or 0), out, errors

    return call
