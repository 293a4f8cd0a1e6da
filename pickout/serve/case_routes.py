"""Routes of cases: what is judged about candidates, and what is handed over."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from pickout.serve.calling import Called, temporary_file
from pickout.serve.case_requests import (
    ArchiveBody,
    Case,
    CaseBody,
    CaseList,
    MarksBody,
    Note,
    NoteBody,
    RedactionBody,
    WholeCase,
)
from pickout.serve.handover import hand_over
from pickout.serve.requests import CaseId

router = APIRouter(tags=["cases"])
_CASE = "/galleries/{gallery}/cases/{case}"


@router.get("/galleries/{gallery}/cases", response_model=CaseList)
def cases(called: Called, gallery: str) -> dict[str, list[dict[str, Any]]]:
    """The cases that the token may see, newest first, with how many crops have each verdict."""
    return {"cases": called.parts.cases.all(called.actor, gallery)}


@router.post("/galleries/{gallery}/cases", status_code=201, response_model=Case)
def open_case(called: Called, gallery: str, body: CaseBody) -> dict[str, Any]:
    """Open a case. Needs a purpose; recorded."""
    return called.parts.cases.create(called.actor, gallery, body, called.who)


@router.get(_CASE, response_model=WholeCase)
def case(called: Called, gallery: str, case: CaseId) -> dict[str, Any]:
    """A case with its crops, marks, notes, searches and redactions."""
    return called.parts.cases.get(called.actor, gallery, case)


@router.delete(_CASE, status_code=204)
def delete_case(called: Called, gallery: str, case: CaseId) -> None:
    """Forget a case. Needs a purpose; recorded."""
    called.parts.cases.delete(called.actor, gallery, case, called.who)


@router.post(f"{_CASE}/marks", status_code=204)
def mark(called: Called, gallery: str, case: CaseId, body: MarksBody) -> None:
    """Judge crops, or take a judgement back. Needs a purpose; recorded."""
    called.parts.cases.mark(called.actor, gallery, case, body, called.who)


@router.post(f"{_CASE}/notes", status_code=201, response_model=Note)
def note(called: Called, gallery: str, case: CaseId, body: NoteBody) -> dict[str, Any]:
    """Write a note; notes stay as they were written."""
    return called.parts.cases.note(called.actor, gallery, case, body, called.who)


@router.post(f"{_CASE}/redactions", status_code=204)
def redact(called: Called, gallery: str, case: CaseId, body: RedactionBody) -> None:
    """Say what is blurred of crops when they leave; a face that is shown needs a reason. Recorded."""
    called.parts.cases.redact(called.actor, gallery, case, body, called.who)


@router.post(
    f"{_CASE}/archive",
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {}}, "description": "the case, signed"}},
)
def archive(called: Called, gallery: str, case: CaseId, body: ArchiveBody) -> FileResponse:
    """The case in one signed file, as `pickout case verify` checks it. Needs a purpose; recorded."""
    who = called.who
    called.parts.cases.own(called.actor, gallery, case)
    target = temporary_file(called, "exports")
    try:
        digest = hand_over(called.parts.cases, called.actor, gallery, case, body, who, target)
    except Exception:
        target.unlink(missing_ok=True)
        raise
    done, headers = BackgroundTask(target.unlink, missing_ok=True), {"Pickout-SHA-256": digest}
    return FileResponse(
        target, media_type="application/zip", filename=f"case-{case}.zip", background=done, headers=headers
    )
