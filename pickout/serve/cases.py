"""Cases: what somebody judged about candidates, and why, so that somebody else can look again; and what goes into the
archive of one: pictures, what was judged, the searches, and a page that any browser shows.

A case is seen by whoever made it and by who may see the whole gallery. A crop that is erased is forgotten by each case.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pickout.errors import ImageUnreadable, NotThere, UsageError
from pickout.gallery.audit.heads import sign_head, verifier
from pickout.gallery.audit.log import Acting, record_event
from pickout.gallery.storage.rows import Row
from pickout.pages import render
from pickout.serve.access import Actor
from pickout.serve.archive import CASE, SCHEMA, write_archive
from pickout.serve.blurring import redacted_jpeg
from pickout.serve.crops import own_bytes, told_row
from pickout.serve.database import Database, now
from pickout.serve.hosting import Hosted
from pickout.serve.requests import ArchiveBody
from pickout.serve.service import Service

TABLES = ("marks", "notes", "queries", "redactions")
_LEAVES = ("fits", "maybe")
"""Crops with these verdicts leave as pictures; of the others, who do not concern the case, only that they were seen."""
_NOTICE = "Candidates that a person judged, found by a description. They are not identifications."


class Cases:
    """The cases of a service."""

    def __init__(self, service: Service) -> None:
        self.database = Database(service.state, "cases")
        service.on_erasing.append(self._forget)

    def all(self, actor: Actor, hosted: Hosted) -> list[dict[str, Any]]:
        """The cases that somebody may see, newest first, with how many crops have each verdict or several: `differ`."""
        verdict = "CASE MIN(verdict) WHEN MAX(verdict) THEN verdict ELSE 'differ' END"
        judged = f"SELECT case_id, {verdict} AS judged FROM marks GROUP BY case_id, crop"
        counts = f"SELECT case_id, judged, COUNT(*) AS crops FROM ({judged}) GROUP BY case_id, judged"
        of_case = dict[str, dict[str, int]]()
        for each in self.database.read(counts):
            of_case.setdefault(each["case_id"], {})[each["judged"]] = each["crops"]
        newest = "SELECT * FROM cases WHERE gallery = ? ORDER BY made DESC, rowid DESC"
        rows = self.database.read(newest, (hosted.name,))
        return [{**told_of(row), "marks": of_case.get(row["id"], {})} for row in rows if _may_see(actor, row)]

    def get(self, actor: Actor, hosted: Hosted, case: str) -> dict[str, Any]:
        """A case with its crops, marks, notes, searches and redactions; without crops that may not be seen."""
        row = self.own(actor, hosted, case)
        read = self.database.read
        found = {table: read(f"SELECT * FROM {table} WHERE case_id = ? ORDER BY rowid", (case,)) for table in TABLES}
        marks = dict[str, list[dict[str, Any]]]()
        for mark in found["marks"]:
            marks.setdefault(mark["crop"], []).append(told_of(mark))
        known = dict(zip(marks, hosted.found(list(marks)), strict=True))
        self._forget([crop for crop, row in known.items() if row is None])  # erased by another process
        rows = {crop: told_row(row) for crop, row in known.items() if row and actor.sees(row.metadata.camera)}
        redactions = {
            each["crop"]: {**told_of(each), "head": bool(each["head"]), "boxes": json.loads(each["boxes"])}
            for each in found["redactions"]
            if each["crop"] in rows
        }
        return {
            **told_of(row),
            "crops": [{**told, "marks": marks[crop]} for crop, told in rows.items()],
            "notes": [told_of(each) for each in found["notes"]],
            "queries": [{**told_of(each), "told": json.loads(each["told"])} for each in found["queries"]],
            "redactions": redactions,
        }

    def searched(self, case: str, who: Acting, told: Mapping[str, Any]) -> None:
        """Note down a search that was made for a case, without what it found."""
        kept = {name: told[name] for name in ("query", "where", "group", "page", "passed", "no_good_match")}
        values = (case, json.dumps({**kept, "shown": len(told["candidates"])}), who.user, now())
        self.database.write("INSERT INTO queries (case_id, told, by, at) VALUES (?,?,?,?)", values)

    def own(self, actor: Actor, hosted: Hosted, case: str) -> dict[str, Any]:
        """A case that somebody may see; else as if it were not there."""
        rows = self.database.read("SELECT * FROM cases WHERE id = ? AND gallery = ?", (case, hosted.name))
        if not rows or not _may_see(actor, rows[0]):
            raise NotThere("no case of this id")
        return rows[0]

    def hand_over(self, actor: Actor, hosted: Hosted, case: str, body: ArchiveBody, who: Acting, target: Path) -> str:
        """Write the archive; its SHA-256. Recorded. `UsageError`: originals without reason or by a blurred token."""
        if body.originals and (actor.blurred or not body.reason):
            raise UsageError("original pictures need a reason, and a token that may see them")
        told, members = self.get(actor, hosted, case), list[tuple[str, bytes]]()
        rows = hosted.rows([each["id"] for each in told["crops"]])
        for crop in told["crops"]:
            if row := rows.get(crop["id"]):
                redaction = told["redactions"].get(crop["id"], {"head": True, "boxes": []})
                members += _pictures(crop, row, redaction, originals=body.originals, blurred=actor.blurred)
        shown = [crop["id"] for crop in told["crops"] if "picture" in crop]
        record_event(hosted.path, "case handed over", shown, case=case, originals=body.originals, reason=body.reason)
        model, queries = hosted.open().manifest.model, told.pop("queries")
        about = {"notice": _NOTICE, "gallery": hosted.name, "model": model.name, "fingerprint": model.fingerprint}
        archived = {"by": who.user, "at": now(), "purpose": who.purpose, **body.model_dump()}
        whole = {"schema": SCHEMA, **about, **told, "archived": archived}
        asked = [{**each, "told": json.dumps(each["told"])} for each in queries]
        front = {CASE: json.dumps(whole, indent=1)}
        front["queries.jsonl"] = "".join(json.dumps(each) + "\n" for each in queries)
        front["audit-head.txt"] = sign_head(hosted.path).text
        # For a reader without Pickout, and without any script.
        front["case.html"] = render("pickout.serve", "case.html", **whole, queries=asked)
        written = [(name, text.encode()) for name, text in front.items()]
        with target.open("wb") as file:
            return write_archive(file, [*written, *members], hosted.path, verifier(hosted.path))

    def _forget(self, ids: Collection[str]) -> None:
        with self.database.opened() as database:
            for table in ("marks", "redactions"):
                database.executemany(f"DELETE FROM {table} WHERE crop = ?", ((each,) for each in ids))


def _may_see(actor: Actor, row: Mapping[str, Any]) -> bool:
    return actor.cameras is None or (actor.token is not None and actor.token == row["token"])


def told_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as clients get it."""
    return {key: value for key, value in row.items() if key not in ("token", "gallery", "case_id", "crop", "number")}


def _pictures(
    crop: dict[str, Any], row: Row, redaction: Mapping[str, Any], *, originals: bool, blurred: bool
) -> list[tuple[str, bytes]]:
    """The members that show a crop; `crop` is told their names, and the SHA-256 of the file that was indexed."""
    crop["sha256"] = row.content
    if not any(mark["verdict"] in _LEAVES for mark in crop["marks"]):
        return []
    content = row.thumbnail
    with suppress(ImageUnreadable):
        content = own_bytes(row)
    crop["picture"], crop["redaction"] = f"pictures/{row.id}.jpg", dict(redaction)
    head = blurred or bool(redaction["head"])
    found = [(crop["picture"], redacted_jpeg(content, redaction["boxes"], head=head))]
    crop["original"] = None
    if originals and content is not row.thumbnail:
        crop["original"] = f"originals/{row.id}{row.file.suffix.lower()[:6]}"
        found.append((crop["original"], content))
    return found
