"""Routes of cases: what is judged about candidates, and what is handed over."""

import json
import secrets
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from pickout.errors import AccessDenied, UsageError
from pickout.gallery.audit.log import record_event, user_name
from pickout.serve import answers
from pickout.serve.access import Action, Role, permit
from pickout.serve.calling import Called, on, raw, sent_file
from pickout.serve.cases import TABLES, told_of
from pickout.serve.database import now
from pickout.serve.hosting import Hosted
from pickout.serve.requests import ArchiveBody, CaseBody, Id, MarksBody, NoteBody, RedactionBody

router = APIRouter(prefix="/galleries/{gallery}/cases", tags=["cases"])
Seen = Annotated[Hosted, on(Action.CASE, purpose=False)]
Purposed = Annotated[Hosted, on(Action.CASE)]
_MOST = 10_000  # cases of one gallery


def _own(called: Called, hosted: Purposed, case: Id) -> Hosted:
    called.parts.cases.own(called.actor, hosted, case)
    return hosted


Own = Annotated[Hosted, Depends(_own)]


@router.get("", response_model=answers.CaseList)
def cases(called: Called, hosted: Seen) -> dict[str, list[dict[str, Any]]]:
    """The cases that the token may see, newest first, with how many crops have each verdict."""
    return {"cases": called.parts.cases.all(called.actor, hosted)}


@router.post("", status_code=201, response_model=answers.Case)
def open_case(called: Called, hosted: Purposed, body: CaseBody) -> dict[str, Any]:
    """Open a case. Needs a purpose; recorded."""
    if len(called.parts.cases.all(called.actor, hosted)) >= _MOST:
        raise UsageError(f"there are {_MOST} cases; delete one first")
    made = {"id": secrets.token_hex(8), "gallery": hosted.name, **body.model_dump()}
    made |= {"made": now(), "by": user_name(), "token": called.actor.token}
    record_event(hosted.path, "case opened", case=made["id"])
    called.parts.cases.database.write("INSERT INTO cases VALUES (:id,:gallery,:name,:about,:made,:by,:token)", made)
    return {**told_of(made), "marks": {}}


@router.get("/{case}", response_model=answers.WholeCase)
def case(called: Called, hosted: Seen, case: Id) -> dict[str, Any]:
    """A case with its crops, marks, notes, searches and redactions."""
    return called.parts.cases.get(called.actor, hosted, case)


@router.delete("/{case}", status_code=204)
def delete_case(called: Called, hosted: Own, case: Id) -> None:
    """Forget a case; for who opened it, or an admin. Needs a purpose; recorded."""
    made = called.parts.cases.own(called.actor, hosted, case)
    if called.actor.token != made["token"] and Role.ADMIN not in called.actor.roles:
        raise AccessDenied("only who opened a case, or an admin, may delete it")
    record_event(hosted.path, "case deleted", case=case)
    with called.parts.cases.database.opened() as database:
        for table in TABLES:
            database.execute(f"DELETE FROM {table} WHERE case_id = ?", (case,))
        database.execute("DELETE FROM cases WHERE id = ?", (case,))


@router.post("/{case}/marks", status_code=204)
def mark(called: Called, hosted: Own, case: Id, body: MarksBody) -> None:
    """Judge crops, or take a judgement back. Needs a purpose; recorded."""
    permit(called.actor, Action.CASE, hosted.name, hosted.found(body.crops))
    record_event(hosted.path, "marked", body.crops, case=case, verdict=body.verdict)
    with called.parts.cases.database.opened() as database:
        key = [(case, crop, user_name()) for crop in body.crops]
        if body.verdict is None:
            database.executemany("DELETE FROM marks WHERE case_id = ? AND crop = ? AND by = ?", key)
        else:  # in place of what the same person judged before about the same crop
            values = [(*each, body.verdict, body.reason, body.sentence, now()) for each in key]
            database.executemany("INSERT OR REPLACE INTO marks VALUES (?,?,?,?,?,?,?)", values)


@router.post("/{case}/notes", status_code=201, response_model=answers.Note)
def note(called: Called, hosted: Own, case: Id, body: NoteBody) -> dict[str, Any]:
    """Write a note; notes stay as they were written. Recorded."""
    record_event(hosted.path, "note written", case=case)
    told = {"text": body.text, "by": user_name(), "at": now()}
    values = (case, *told.values())
    called.parts.cases.database.write("INSERT INTO notes (case_id, text, by, at) VALUES (?,?,?,?)", values)
    return told


@router.post("/{case}/redactions", status_code=204)
def redact(called: Called, hosted: Own, case: Id, body: RedactionBody) -> None:
    """Say what is blurred of crops when they leave; a face that is shown needs a reason. Recorded."""
    permit(called.actor, Action.CASE, hosted.name, hosted.found(body.crops))
    if not body.head and not body.reason:
        raise UsageError("a face that is shown needs a reason")
    if not body.head and called.actor.blurred:
        raise UsageError("this token sees blurred faces only")
    record_event(hosted.path, "redaction", body.crops, case=case, head=body.head, reason=body.reason)
    values = (int(body.head), json.dumps(body.boxes), body.reason, user_name(), now())
    with called.parts.cases.database.opened() as database:
        every = [(case, crop, *values) for crop in body.crops]
        database.executemany("INSERT OR REPLACE INTO redactions VALUES (?,?,?,?,?,?,?)", every)


@router.post("/{case}/archive", **raw("the case, signed", "application/zip"))
def archive(called: Called, hosted: Own, case: Id, body: ArchiveBody) -> Response:
    """The case in one signed file, as `pickout case verify` checks it. Needs a purpose; recorded."""
    write = partial(called.parts.cases.hand_over, called.actor, hosted, case, body, called.who())
    return sent_file(called, "application/zip", f"case-{case}.zip", write)
