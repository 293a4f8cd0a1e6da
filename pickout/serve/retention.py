"""How long crops are kept, and what is held against that: `retention.json` in the gallery's folder."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from pickout.config import Settings
from pickout.errors import NotThere, UsageError
from pickout.files import write_atomically
from pickout.gallery.audit.log import record_event, user_name
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.storage.lock import writing
from pickout.gallery.storage.tables import read_small_file

RETENTION = "retention.json"


class KeepRule(Settings):
    """How long crops are kept."""

    days: float = Field(strict=True, ge=0, allow_inf_nan=False, le=36_500)
    """Crops whose time lies further back are erased."""
    camera: str | None = Field(default=None, max_length=200)
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


@dataclass(frozen=True, slots=True)
class Due:
    """What the rules say now."""

    erase: tuple[str, ...]
    held: int
    undated: int


class Retention:
    """The rules and holds of one gallery."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    @property
    def kept(self) -> Keeping:
        """Rules and holds."""
        file = self._gallery.path / RETENTION
        return read_small_file(file, Keeping, "mend it; nothing is erased before") or Keeping()

    def set_rules(self, rules: Collection[KeepRule]) -> None:
        """Replace the rules."""
        cameras = [rule.camera for rule in rules]
        if len(set(cameras)) < len(cameras):
            raise UsageError("two rules for one camera; give one for each")
        record_event(self._gallery.path, "retention", rules=[rule.model_dump() for rule in rules])
        self._change(lambda kept: kept.model_copy(update={"rules": tuple(rules)}))

    def hold(self, reason: str, crops: Collection[str] = (), where: Where | None = None) -> Hold:
        """Keep crops whatever the rules say."""
        if not reason.strip() or len(reason) > 1000 or not reason.isprintable():
            raise UsageError("a hold needs a reason of at most 1000 printable characters")
        told = None if where is None else where.as_json()
        if not crops and not told:
            raise UsageError("a hold needs crops or filters")
        since = datetime.now(UTC).replace(microsecond=0)
        made = Hold(id=secrets.token_hex(4), reason=reason, crops=tuple(crops), where=told, by=user_name(), since=since)
        record_event(self._gallery.path, "hold", hold=made.id, reason=reason, crops=len(crops), where=told)
        self._change(lambda kept: kept.model_copy(update={"holds": (*kept.holds, made)}))
        return made

    def lift(self, identifier: str) -> None:
        """End a hold."""
        if all(hold.id != identifier for hold in self.kept.holds):
            raise NotThere("no hold of this id")
        record_event(self._gallery.path, "hold lifted", hold=identifier)
        self._change(lambda kept: kept.model_copy(update={"holds": tuple(h for h in kept.holds if h.id != identifier)}))

    def held(self, ids: Collection[str]) -> set[str]:
        """Those of some crops that are held."""
        wanted, found = set(ids), set[str]()
        for hold in self.kept.holds:
            found |= wanted & set(hold.crops)
            if hold.where:
                found |= wanted & set(_passing(self._gallery, Where.from_json(hold.where)))
        return found

    def refuse_held(self, ids: Collection[str]) -> None:
        """Refuse to remove or erase crops that are held."""
        if held := self.held(ids):
            raise UsageError(f"{len(held)} of these crops are held; lift the hold first, or leave them out")

    def due(self, now: datetime | None = None) -> Due:
        """What the rules say now; changes nothing."""
        now = datetime.now(UTC).replace(tzinfo=None) if now is None else now
        kept = self.kept
        own = {rule.camera for rule in kept.rules if rule.camera is not None}
        known = set(self._gallery.cameras())
        found: set[str] = set()
        for rule in kept.rules:
            before = now - timedelta(days=rule.days)
            if rule.camera is None:
                found |= set(_passing(self._gallery, Where(before=before, not_cameras=own & known)))
            elif rule.camera in known:
                found |= set(_passing(self._gallery, Where(before=before, cameras=[rule.camera])))
        held = self.held(found)
        dated = len(_passing(self._gallery, Where(after=datetime.min)))
        return Due(tuple(sorted(found - held)), len(held), self._gallery.count() - dated)

    def enforce(self, now: datetime | None = None) -> Due:
        """Erase what is due; the erasure leaves its line in the audit."""
        found = self.due(now)
        if found.erase:
            record_event(self._gallery.path, "retention enforced", rows=len(found.erase), held=found.held)
            self._gallery.erase(found.erase)
        return found

    def _change(self, change: Callable[[Keeping], Keeping]) -> None:
        with writing(self._gallery.path):
            write_atomically(self._gallery.path / RETENTION, change(self.kept).model_dump_json(indent=1) + "\n")


def _passing(gallery: Gallery, where: Where) -> list[str]:
    try:
        return gallery.choose((), where)
    except UsageError:  # a camera or label that no crop has any more
        return []
