"""Saved searches: named, in `searches.json` in the gallery's folder. Running one is a search like any other."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pickout.config import Settings, nearest
from pickout.errors import UsageError, printable
from pickout.files import write_atomically
from pickout.gallery.audit.log import user_name
from pickout.gallery.search.filters import ANYWHERE, Where
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Grouping
from pickout.gallery.storage import lock, tables

SEARCHES = "searches.json"
_LONGEST_NAME = 100


class SavedSearch(Settings):
    """A search that is kept. Pictures are kept as paths and crops by the id or path given: nothing is copied."""

    name: str
    query: dict[str, list[str]]  # as `Query.as_json` tells it
    where: dict[str, Any]  # as `Where.as_json` tells it
    group: str = "none"  # a `Grouping`
    saved: datetime  # when, UTC
    user: str

    def as_json(self) -> dict[str, Any]:
        """With plain values; pydantic's own writer refuses a path that is no UTF-8."""
        return {**dict(self), "saved": self.saved.isoformat()}

    def parts(self) -> tuple[Query, Where, Grouping]:
        """What to search for, where, and how to group; a UsageError where the file was changed into no search."""
        if self.group not in set(Grouping):
            raise UsageError(f"saved search '{self.name}': unknown grouping '{self.group}'")
        return Query.from_json(self.query), Where.from_json(self.where), Grouping(self.group)


@dataclass(frozen=True, slots=True)
class SavedSearches:
    """The searches that the gallery in this folder keeps."""

    gallery: Path

    def all(self) -> list[SavedSearch]:
        """Every one, by name; GalleryDamaged where the file is garbled."""
        searches = tables.read_small_file(self.gallery / SEARCHES, list[SavedSearch], "mend it or delete it")
        return sorted(searches or (), key=lambda search: search.name)

    def get(self, name: str) -> SavedSearch:
        """The one of that name; a UsageError where there is none."""
        searches = {search.name: search for search in self.all()}
        if name not in searches:
            known = nearest(name, searches) or f"; saved are: {', '.join(searches) or 'none'}"
            raise UsageError(f"no saved search '{name}'{known}")
        return searches[name]

    def save(self, name: str, query: Query, where: Where = ANYWHERE, grouping: Grouping = Grouping.NONE) -> None:
        """Keep a search; a UsageError where the name is taken or cannot be shown, or a picture in it is no file."""
        # Of dots alone: an address with such a part leads elsewhere, so it could not be removed through a server.
        if not name.strip(" .") or len(name) > _LONGEST_NAME or printable(name) != name:
            raise UsageError(f"a search's name needs 1 to {_LONGEST_NAME} printable characters, not dots alone")
        told, now = query.savable().as_json(), datetime.now(UTC).replace(microsecond=0)
        how: dict[str, Any] = {"where": where.as_json(), "group": grouping.value, "saved": now, "user": user_name()}
        search = SavedSearch(name=name, query=told, **how)
        with lock.writing(self.gallery):
            searches = self.all()
            if any(each.name == name for each in searches):
                raise UsageError(f"there is a saved search '{name}'; remove it first: pickout saved ... --remove ...")
            self._write([*searches, search])

    def remove(self, name: str) -> None:
        """Forget a search; a UsageError where there is none of that name."""
        with lock.writing(self.gallery):
            gone = self.get(name)
            self._write([search for search in self.all() if search != gone])

    def _write(self, searches: list[SavedSearch]) -> None:
        text = json.dumps([search.as_json() for search in searches], indent=2)
        write_atomically(self.gallery / SEARCHES, text + "\n")
