"""Cases: what somebody judged about candidates, and why, so that somebody else can look again.

A case is seen by whoever made it and by who may see the whole gallery. A crop that is erased is forgotten by each case.
"""

import json
import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from pickout.errors import NotThere, UsageError
from pickout.gallery.audit.log import Acting, acting, record_event
from pickout.serve.access import Action, Actor, permit
from pickout.serve.case_requests import CaseBody, MarksBody, NoteBody, RedactionBody
from pickout.serve.crops import told_row
from pickout.serve.database import Database
from pickout.serve.hosting import Hosted
from pickout.serve.service import Service

CASES = "cases.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS cases (id TEXT PRIMARY KEY, gallery TEXT, name TEXT, about TEXT, made TEXT, by TEXT,
    token TEXT);
CREATE TABLE IF NOT EXISTS marks (case_id TEXT, crop TEXT, by TEXT, verdict TEXT, reason TEXT, sentence TEXT, at TEXT,
    PRIMARY KEY (case_id, crop, by));
CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY AUTOINCREMENT, case_id TEXT, text TEXT, by TEXT, at TEXT);
CREATE TABLE IF NOT EXISTS queries (number INTEGER PRIMARY KEY AUTOINCREMENT, case_id TEXT, told TEXT, by TEXT,
    at TEXT);
CREATE TABLE IF NOT EXISTS redactions (case_id TEXT, crop TEXT, head INTEGER, boxes TEXT, reason TEXT, by TEXT, at TEXT,
    PRIMARY KEY (case_id, crop));
"""
_OF_A_CASE = ("marks", "notes", "queries", "redactions")
_MOST = 10_000  # cases of one gallery


class Cases:
    """The cases of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = Database(service.state / CASES, _TABLES)
        service.on_erasing.append(self._forget)

    def all(self, actor: Actor, name: str) -> list[dict[str, Any]]:
        """The cases that somebody may see, newest first, with how many crops have each verdict."""
        self._service.gallery(actor, Action.CASE, name)
        rows = self._database.read("SELECT * FROM cases WHERE gallery = ? ORDER BY made DESC, rowid DESC", (name,))
        counts = self._database.read(
            "SELECT case_id, verdict, COUNT(DISTINCT crop) AS crops FROM marks GROUP BY case_id, verdict"
        )
        of_case: dict[str, dict[str, int]] = {}
        for each in counts:
            of_case.setdefault(each["case_id"], {})[each["verdict"]] = each["crops"]
        return [{**_told(row), "marks": of_case.get(row["id"], {})} for row in rows if _may_see(actor, row)]

    def create(self, actor: Actor, name: str, body: CaseBody, who: Acting) -> dict[str, Any]:
        """A new case."""
        hosted = self._service.gallery(actor, Action.CASE, name)
        if len(self.all(actor, name)) >= _MOST:
            raise UsageError(f"there are {_MOST} cases; delete one first")
        made = {"id": secrets.token_hex(8), "gallery": name, **body.model_dump()}
        made |= {"made": _now(), "by": who.user, "token": actor.token}
        with acting(who):
            record_event(hosted.path, "case opened", case=made["id"])
        self._database.write("INSERT INTO cases VALUES (:id,:gallery,:name,:about,:made,:by,:token)", made)
        return {**_told(made), "marks": {}}

    def get(self, actor: Actor, name: str, case: str) -> dict[str, Any]:
        """A case with its crops, marks, notes, searches and redactions; without crops that may not be seen."""
        hosted, row = self.own(actor, name, case)
        read = self._database.read
        found = {
            table: read(f"SELECT * FROM {table} WHERE case_id = ? ORDER BY rowid", (case,)) for table in _OF_A_CASE
        }
        for each in (*found["redactions"], *found["queries"]):
            each.update({key: json.loads(each[key]) for key in ("boxes", "told") if key in each})
        ids = list(dict.fromkeys(each["crop"] for each in found["marks"]))
        known = dict(zip(ids, hosted.found(ids), strict=True))
        self._forget([crop for crop, row in known.items() if row is None])  # erased by another process
        rows = {
            crop: told_row(row)
            for crop, row in known.items()
            if row is not None and (actor.cameras is None or row.metadata.camera in actor.cameras)
        }
        marks: dict[str, list[dict[str, Any]]] = {crop: [] for crop in ids}
        for mark in found["marks"]:
            marks[mark["crop"]].append(_told(mark))
        crops = [{**rows[crop], "marks": marks[crop]} for crop in rows]
        redactions = {each["crop"]: _told(each) for each in found["redactions"] if each["crop"] in rows}
        for each in redactions.values():
            each["head"] = bool(each["head"])
        notes, queries = ([_told(each) for each in found[table]] for table in ("notes", "queries"))
        return {**_told(row), "crops": crops, "notes": notes, "queries": queries, "redactions": redactions}

    def delete(self, actor: Actor, name: str, case: str, who: Acting) -> None:
        """Forget a case."""
        hosted, _ = self.own(actor, name, case)
        with acting(who):
            record_event(hosted.path, "case deleted", case=case)
        with self._database.opened() as database:
            for table in _OF_A_CASE:
                database.execute(f"DELETE FROM {table} WHERE case_id = ?", (case,))
            database.execute("DELETE FROM cases WHERE id = ?", (case,))

    def mark(self, actor: Actor, name: str, case: str, body: MarksBody, who: Acting) -> None:
        """Judge crops; another judgement of the same person about the same crop takes the place of his first."""
        hosted, _ = self.own(actor, name, case)
        permit(actor, Action.CASE, name, hosted.found(body.crops))
        with acting(who):
            record_event(hosted.path, "marked", body.crops, case=case, verdict=body.verdict)
        with self._database.opened() as database:
            key = [(case, crop, who.user) for crop in body.crops]
            if body.verdict is None:
                database.executemany("DELETE FROM marks WHERE case_id = ? AND crop = ? AND by = ?", key)
            else:
                values = [(*each, body.verdict, body.reason, body.sentence, _now()) for each in key]
                database.executemany("INSERT OR REPLACE INTO marks VALUES (?,?,?,?,?,?,?)", values)

    def note(self, actor: Actor, name: str, case: str, body: NoteBody, who: Acting) -> dict[str, Any]:
        """Write a note, which stays."""
        self.own(actor, name, case)
        note = {"text": body.text, "by": who.user, "at": _now()}
        self._database.write("INSERT INTO notes (case_id, text, by, at) VALUES (?,?,?,?)", (case, *note.values()))
        return note

    def redact(self, actor: Actor, name: str, case: str, body: RedactionBody, who: Acting) -> None:
        """Say what is blurred of crops when they leave: by default the head, and whatever boxes are drawn."""
        hosted, _ = self.own(actor, name, case)
        permit(actor, Action.CASE, name, hosted.found(body.crops))
        if not body.head and not body.reason:
            raise UsageError("a face that is shown needs a reason")
        if not body.head and actor.blurred:
            raise UsageError("this token sees blurred faces only")
        with acting(who):
            record_event(hosted.path, "redaction", body.crops, case=case, head=body.head, reason=body.reason)
        values = (int(body.head), json.dumps(body.boxes), body.reason, who.user, _now())
        with self._database.opened() as database:
            every = [(case, crop, *values) for crop in body.crops]
            database.executemany("INSERT OR REPLACE INTO redactions VALUES (?,?,?,?,?,?,?)", every)

    def searched(self, case: str, who: Acting, told: Mapping[str, Any]) -> None:
        """Note down a search that was made for a case, without what it found."""
        kept = {name: told[name] for name in ("query", "where", "group", "page", "passed", "no_good_match")}
        values = (case, json.dumps({**kept, "shown": len(told["candidates"])}), who.user, _now())
        self._database.write("INSERT INTO queries (case_id, told, by, at) VALUES (?,?,?,?)", values)

    def own(self, actor: Actor, name: str, case: str) -> tuple[Hosted, dict[str, Any]]:
        """A case that somebody may see; else as if it were not there."""
        hosted = self._service.gallery(actor, Action.CASE, name)
        rows = self._database.read("SELECT * FROM cases WHERE id = ? AND gallery = ?", (case, name))
        if not rows or not _may_see(actor, rows[0]):
            raise NotThere("no case of this id")
        return hosted, rows[0]

    def _forget(self, ids: Collection[str]) -> None:
        with self._database.opened() as database:
            for table in ("marks", "redactions"):
                database.executemany(f"DELETE FROM {table} WHERE crop = ?", ((each,) for each in ids))


def _may_see(actor: Actor, row: Mapping[str, Any]) -> bool:
    return actor.cameras is None or (actor.token is not None and actor.token == row["token"])


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("token", "gallery", "case_id", "crop", "number")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
