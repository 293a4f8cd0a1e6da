"""How long crops are kept, and what is held against that: `retention.json` in the gallery's folder."""

import secrets
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from pickout.config import Settings
from pickout.errors import NotThere, UsageError, listed
from pickout.files import write_atomically
from pickout.gallery.audit.log import record_event, user_name
from pickout.gallery.changes.edits import checked_ids
from pickout.gallery.search.filters import Where, allowed
from pickout.gallery.storage import lock, tables
from pickout.gallery.storage.rows import Resident, composed

RETENTION = "retention.json"
_FEW = 1000  # crops that are looked for by their ids sooner than by reading every row


class KeepRule(Settings):
    """How long crops are kept."""

    days: float = Field(strict=True, ge=0, allow_inf_nan=False, le=36_500)
    """Crops whose time lies further back are erased."""
    camera: str | None = Field(default=None, min_length=1, max_length=200)
    """Of this camera; none: of every camera that has no rule of its own, and of none."""


class Hold(Settings):
    """Crops that are kept whatever the rules say, until it is lifted."""

    id: str = Field(description="Names it.")
    reason: str = Field(description="Why, for example a case number.")
    crops: tuple[str, ...] = Field((), description="Ids.")
    where: dict[str, Any] | None = Field(None, description="Filters, by name: also crops that are added later.")
    by: str = Field(description="Who set it.")
    since: datetime = Field(description="When, UTC.")


class Keeping(Settings):
    """The contents of `retention.json`."""

    rules: tuple[KeepRule, ...] = Field((), description="At most one for each camera, and one for the rest.")
    holds: tuple[Hold, ...] = Field((), description="What is kept all the same.")


def read_retention(gallery: Path) -> Keeping:
    """Rules and holds. `GalleryDamaged` where their file is garbled: nothing is erased before it is mended."""
    remedy = "mend it; nothing is removed or erased before"
    return tables.read_small_file(gallery / RETENTION, Keeping, remedy) or Keeping()


class Due(NamedTuple):
    """What the rules say now."""

    erase: tuple[str, ...]
    held: int
    undated: int


class Retention:
    """The rules and holds of one gallery; `rows` gives its rows as they are now, `present` those ids that have one."""

    def __init__(
        self, gallery: Path, rows: Callable[[], Resident], present: Callable[[Collection[str]], set[str]]
    ) -> None:
        self._gallery, self._rows, self._present = gallery, rows, present

    @property
    def kept(self) -> Keeping:
        """Rules and holds; `GalleryDamaged` as of `read_retention`."""
        return read_retention(self._gallery)

    def set_rules(self, rules: Collection[KeepRule]) -> None:
        """Replace the rules."""
        cameras = [rule.camera and composed(rule.camera) for rule in rules]
        if len(set(cameras)) < len(cameras):
            raise UsageError("two rules for one camera; give one for each")
        with lock.writing(self._gallery):
            record_event(self._gallery, "retention", rules=[rule.model_dump() for rule in rules])
            self._write(rules=tuple(rules))

    def hold(self, reason: str, crops: Collection[str] = (), where: Where | None = None) -> Hold:
        """Keep crops, by their ids, and those that pass the filters. `UsageError`: one is not there, or no reason."""
        if not reason.strip() or len(reason) > 1000 or not reason.isprintable():
            raise UsageError("a hold needs a reason of at most 1000 printable characters")
        told = None if where is None else where.as_json()
        ids = tuple(checked_ids(crops))
        if not ids and not told:
            raise UsageError("a hold needs crops or filters")
        since = datetime.now(UTC).replace(microsecond=0)
        made = Hold(id=secrets.token_hex(4), reason=reason, crops=ids, where=told, by=user_name(), since=since)
        with lock.writing(self._gallery):
            if gone := set(ids) - ({each.decode() for each in self._rows().ids} if ids else set()):
                raise UsageError(f"{len(gone)} of these crops are not in the gallery, for one {min(gone)}")
            record_event(self._gallery, "hold", hold=made.id, reason=reason, crops=len(ids), where=told)
            self._write(holds=(*self.kept.holds, made))
        return made

    def lift(self, identifier: str) -> None:
        """End a hold; `NotThere` where there is none of this id."""
        with lock.writing(self._gallery):
            holds = self.kept.holds
            if all(hold.id != identifier for hold in holds):
                known = f"there are {listed([hold.id for hold in holds], 10)}" if holds else "there is none"
                raise NotThere(f"no hold of this id; {known}")
            record_event(self._gallery, "hold lifted", hold=identifier)
            self._write(holds=tuple(hold for hold in holds if hold.id != identifier))

    def counts(self) -> dict[str, int]:
        """How many crops each hold keeps now, by its id."""
        by_hold = self._by_hold({each.decode() for each in self._rows().ids})
        return {hold.id: len(by_hold.get(hold.id, ())) for hold in self.kept.holds}

    def held(self, ids: Collection[str]) -> set[str]:
        """Those of some crops that are held."""
        return set[str]().union(*self._by_hold(ids).values())

    def refuse_held(self, ids: Collection[str]) -> None:
        """Refuse to remove or erase crops that are held: a `UsageError` that names the holds. Who asks holds the
        gallery's lock, so that a hold which was acknowledged is seen."""
        if by_hold := self._by_hold(ids):
            held = set[str]().union(*by_hold.values())
            holds = listed([f"{hold.id}: {hold.reason}" for hold in self.kept.holds if hold.id in by_hold], 3)
            remedy = "lift the hold first (pickout retention lift), or leave them out"
            raise UsageError(f"{len(held)} of these crops are held ({holds}); {remedy}")

    def keep(self, ids: Collection[str]) -> set[str]:
        """Those of some crops that are held. Holds by filters name them from now on, so that no change of a camera, a
        time or a label takes a crop out of a hold. Who asks holds the gallery's lock."""
        by_hold, named = self._by_hold(ids), list[Hold]()
        for hold in (holds := self.kept.holds):
            more = sorted(by_hold.get(hold.id, set()) - set(hold.crops))
            named.append(hold.model_copy(update={"crops": (*hold.crops, *more)}) if more else hold)
        if named != list(holds):
            self._write(holds=tuple(named))
        return set[str]().union(*by_hold.values())

    def due(self, now: datetime | None = None) -> Due:
        """What the rules say now; changes nothing."""
        now = datetime.now(UTC).replace(tzinfo=None) if now is None else now
        rules, found = self.kept.rules, set[str]()
        own = [rule.camera for rule in rules if rule.camera is not None]
        for rule in rules:
            cameras, not_cameras = ([], own) if rule.camera is None else ([rule.camera], [])
            before = now - timedelta(days=rule.days)
            found |= self._passing(Where(before=before, cameras=cameras, not_cameras=not_cameras))
        held = self.held(found)
        return Due(tuple(sorted(found - held)), len(held), int(np.isnat(self._rows().times).sum()))

    def _by_hold(self, ids: Collection[str]) -> dict[str, set[str]]:
        """Which of some crops each hold keeps, by the hold's id; holds that keep none of them are left out."""
        wanted, found, holds = set(ids), dict[str, set[str]](), self.kept.holds
        if len(wanted) <= _FEW and any(hold.where for hold in holds):
            wanted = self._present(wanted)  # a filter reads every row, and each commit of an index run asks
        for hold in holds if wanted else ():
            kept = wanted & set(hold.crops)
            if hold.where:
                kept |= wanted & self._passing(Where.from_json(hold.where))
            found |= {hold.id: kept} if kept else {}
        return found

    def _passing(self, where: Where) -> set[str]:
        """Ids of the rows that pass; a camera or label that no crop has, or has any more, is no error here."""
        rows = self._rows()
        return {each.decode() for each in rows.ids[allowed(where, rows)]}

    def _write(self, **changed: Any) -> None:
        kept = self.kept.model_copy(update=changed)
        write_atomically(self._gallery / RETENTION, kept.model_dump_json(indent=1) + "\n")
