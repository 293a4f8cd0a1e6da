"""Shared by all tests: where the optional reference material lies, and quiet, repeatable torch."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault of the code: hypothesis would call an example that takes 200 ms a failure.
settings.register_profile("pickout", deadline=None)
settings.load_profile("pickout")

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material (vocabularies, real crops). Tests that need it skip without it."""
    folder = Path(os.environ.get("PICKOUT_SHARED", _ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the folder of reference material is not here")
    return folder


@pytest.fixture(scope="session")
def rasa_tiny() -> Path:
    """Recorded numbers of RaSa's released program; see the README there."""
    return _ROOT / "tests" / "golden" / "rasa-tiny"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return _ROOT
