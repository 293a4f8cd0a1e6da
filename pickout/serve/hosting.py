"""One gallery that is searched while it changes."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pickout.errors import GalleryError, GalleryModelMismatch, PickoutError
from pickout.gallery.encoder import Encoder
from pickout.gallery.gallery import Gallery
from pickout.gallery.storage.lock import locked
from pickout.gallery.storage.rows import Row
from pickout.serve.settings import ServeSettings
from pickout.serve.turns import Turns

LEASE = ".optimising"
"""Held by the one process that merges small pieces on disk; empty."""
_LOOK = 1.0
"""Seconds after which changes by other processes are looked for."""
_log = logging.getLogger(__name__)

Loader = Callable[[Path], Encoder]
"""Gives the model of a gallery's folder."""


class Hosted:
    """A gallery of a server. Searches use the rows that were read last; they are read anew beside them.

    Args:
        path: the gallery's folder.
        load: gives its model.
        settings: of the server.
    """

    def __init__(self, path: Path, load: Loader, settings: ServeSettings) -> None:
        self.path, self.name = path, path.name.removesuffix(".gallery")
        self._load = load
        self.encoder = load(path)
        self._front = self._read()
        self._refreshing, self._reading = threading.Lock(), threading.Lock()
        self._rows = Gallery.open(path)
        self.turns = Turns(lambda: self._front, waiting=settings.waiting, together=settings.together)
        self._stop = threading.Event()
        self._follower = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._follower.start()

    def open(self) -> Gallery:
        """The gallery, for a change: apart from the one that is searched."""
        return Gallery.open(self.path, self.encoder)

    def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """Whole rows by id; unknown ids are left out."""
        with self._reading:
            return self._rows.rows(ids)

    def refresh(self) -> None:
        """Searches see all changes that were made until now, once this returns."""
        with self._refreshing:
            if self._front.changed_since_read():
                self._front = self._read()

    def rebuilt(self) -> None:
        """Take the model that the gallery has now."""
        with self._refreshing:
            self.encoder = self._load(self.path)
            self._front = self._read()

    def compact(self) -> None:
        """Merge the small pieces on disk, unless another process is at it.

        Raises:
            GalleryError: another process is.
        """
        with locked(self.path / LEASE, 0, f"{self.name}: is being compacted by another process"):
            self.open().compact()
        self.refresh()

    def close(self) -> None:
        """Answer what waits, then stop."""
        self._stop.set()
        self._follower.join()
        self.turns.close()

    def _read(self) -> Gallery:
        gallery = Gallery.open(self.path, self.encoder)
        gallery.counts()  # reads the rows
        gallery.follows = False
        return gallery

    def _follow(self) -> None:
        """Notice what other processes change."""
        while not self._stop.wait(_LOOK):
            began = time.monotonic()
            try:
                self.refresh()
            except GalleryModelMismatch:
                self._try(self.rebuilt)
            except PickoutError as error:
                _log.warning("%s", error)
            # A gallery that takes long to read and is changed all the time is read at most a fifth of the time.
            self._stop.wait(4 * (time.monotonic() - began))

    def _try(self, what: Callable[[], None]) -> None:
        try:
            what()
        except (PickoutError, OSError) as error:
            _log.warning("%s", error)


def hosted(paths: Sequence[Path], load: Loader, settings: ServeSettings) -> dict[str, Hosted]:
    """The galleries of a server by name: their folders' names without `.gallery`.

    Raises:
        GalleryError: two of one name, or one that cannot be opened.
    """
    names = [path.name.removesuffix(".gallery") for path in paths]
    if len(set(names)) < len(names):
        raise GalleryError(f"two galleries of one name among {', '.join(map(str, paths))}; rename a folder")
    return {name: Hosted(path, load, settings) for name, path in zip(names, paths, strict=True)}
