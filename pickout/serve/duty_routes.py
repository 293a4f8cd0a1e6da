"""Routes of the server's owner and its auditor: retention and holds, the audit, tokens."""

import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from pickout.gallery.audit.examination import as_csv
from pickout.serve.calling import Called
from pickout.serve.requests import CropId, HeadsBody, HoldBody, RulesBody, SinceBody, TokenBody

router = APIRouter()
_MOST = 1_000_000


class Form(StrEnum):
    """How a log is given out."""

    JSONL = "jsonl"
    CSV = "csv"


@router.get("/galleries/{gallery}/retention", tags=["duty"])
def retention(called: Called, gallery: str) -> dict[str, Any]:
    """How long crops are kept, what is held, and how many are due."""
    return called.parts.duty.retention(called.actor, gallery)


@router.put("/galleries/{gallery}/retention", tags=["duty"], status_code=204)
def set_rules(called: Called, gallery: str, body: RulesBody) -> None:
    """Replace the rules. Recorded."""
    called.parts.duty.set_rules(called.actor, gallery, body, called.who_without_purpose)


@router.post("/galleries/{gallery}/retention/enforce", tags=["duty"])
def enforce(called: Called, gallery: str) -> dict[str, Any]:
    """Erase now what is due; the server does that by itself from time to time."""
    return called.parts.duty.enforce(called.actor, gallery, called.who_without_purpose)


@router.post("/galleries/{gallery}/holds", tags=["duty"], status_code=201)
def hold(called: Called, gallery: str, body: HoldBody) -> dict[str, Any]:
    """Keep crops whatever the rules say, and refuse to remove or erase them. Recorded."""
    return called.parts.duty.hold(called.actor, gallery, body, called.who_without_purpose)


@router.delete("/galleries/{gallery}/holds/{hold}", tags=["duty"], status_code=204)
def lift(called: Called, gallery: str, hold: str) -> None:
    """End a hold. Recorded."""
    called.parts.duty.lift(called.actor, gallery, hold, called.who_without_purpose)


@router.get(
    "/galleries/{gallery}/audit",
    tags=["audit"],
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}, "description": "the log"}},
)
def audit(
    called: Called,
    gallery: str,
    start: Annotated[int, Query(ge=1, le=2**53)] = 1,
    count: Annotated[int, Query(ge=1, le=_MOST)] = _MOST,
    form: Form = Form.JSONL,
) -> StreamingResponse:
    """The log of searches and changes, as JSON lines or CSV."""
    entries = islice(called.parts.duty.entries(called.actor, gallery, start), count)
    if form is Form.CSV:
        return StreamingResponse(as_csv(entries), media_type="text/csv")
    lines: Iterator[str] = (json.dumps(each) + "\n" for each in entries)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@router.get("/galleries/{gallery}/audit/head", tags=["audit"], response_class=PlainTextResponse)
def head(called: Called, gallery: str) -> str:
    """A signed head of the log, for a witness to keep."""
    return called.parts.duty.head(called.actor, gallery)


@router.post("/galleries/{gallery}/audit/proof", tags=["audit"], response_class=PlainTextResponse)
def proof(called: Called, gallery: str, body: SinceBody) -> str:
    """A new head, and the proof that the log goes on from an earlier one; `pickout audit witness` checks it."""
    return called.parts.duty.head(called.actor, gallery, body.since)


@router.post("/galleries/{gallery}/audit/verify", tags=["audit"])
def verify(called: Called, gallery: str, body: HeadsBody) -> dict[str, Any]:
    """What is wrong with the log, by itself and against heads that were kept elsewhere."""
    return called.parts.duty.verify(called.actor, gallery, body.heads)


@router.get("/galleries/{gallery}/audit/crops/{crop}", tags=["audit"])
def showing(called: Called, gallery: str, crop: CropId) -> dict[str, list[dict[str, Any]]]:
    """The entries that provably showed a crop."""
    return {"entries": called.parts.duty.showing(called.actor, gallery, crop)}


@router.get("/tokens", tags=["access"])
def tokens(called: Called) -> dict[str, list[dict[str, Any]]]:
    """Every token, without anything that would help to use one."""
    return {"tokens": called.parts.duty.list_tokens(called.actor)}


@router.post("/tokens", tags=["access"], status_code=201)
def create_token(called: Called, body: TokenBody) -> dict[str, Any]:
    """A new token, which may do no more than the one that makes it. Its secret is told this once."""
    return called.parts.duty.create_token(called.actor, body)


@router.delete("/tokens/{token}", tags=["access"], status_code=204)
def revoke_token(called: Called, token: str) -> Response:
    """Make a token invalid at once; not one's own."""
    called.parts.duty.revoke_token(called.actor, token)
    return Response(status_code=204)
