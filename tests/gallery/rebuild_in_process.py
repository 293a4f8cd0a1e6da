"""Run by tests as a process of its own: give a gallery another model, and die by kill -9 at a chosen moment.

Arguments: gallery, name of the moment.
"""

import os
import shutil
import signal
import sys

from colour_encoder import ColourEncoder

from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.storage import tables
from pickout.gallery.storage.store import Store


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def dying(owner, name, *, call=1, before=None, after=None):
    """Make the `call`-th call of `owner.name` run `before` ahead of it, or `after` behind it."""
    whole, calls = getattr(owner, name), []

    def counted(*args, **rest):
        calls.append(name)
        if len(calls) == call and before:
            before(*args)
        result = whole(*args, **rest)
        if len(calls) == call and after:
            after(*args)
        return result

    setattr(owner, name, counted)


def half_gone(folder):
    """Delete half of a table's files, then die."""
    for file in sorted((folder / "data").iterdir())[::2]:
        file.unlink()
    shutil.rmtree(folder / "_versions")
    die()


MOMENTS = {
    "the new table has no name yet": lambda: dying(tables, "write_manifest", before=die),
    "nothing is brought": lambda: dying(tables, "write_manifest", after=die),
    "within the second commit": lambda: dying(Store, "put", call=2, before=die),
    "before the swap": lambda: dying(tables, "write_manifest", call=2, before=die),
    "after the swap": lambda: dying(tables, "write_manifest", call=2, after=die),
    "the old table half gone": lambda: dying(shutil, "rmtree", before=half_gone),
    "the old table gone": lambda: dying(shutil, "rmtree", after=die),
}

if __name__ == "__main__":
    MOMENTS[sys.argv[2]]()
    Gallery.open(sys.argv[1]).rebuild(ColourEncoder("other"), settings=IngestSettings(batch=2, commit=2, threads=2))
