"""Routes of the server's owner and its auditor: retention and holds, the audit, tokens."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, StreamingResponse

from pickout.gallery.audit.examination import as_csv, entries_showing, examine, numbered_entries
from pickout.gallery.audit.heads import proof as proof_between
from pickout.gallery.audit.heads import read_head, sign_head, verifier
from pickout.gallery.audit.log import Acting, acting, record_event
from pickout.serve import answers
from pickout.serve.access import Action, permit
from pickout.serve.calling import Called, Caller
from pickout.serve.requests import CropId, HeadsBody, HoldBody, RulesBody, SinceBody, TokenBody
from pickout.serve.retention import Due, Hold, Retention
from pickout.serve.service import limited

router = APIRouter()
_MOST = 1_000_000


class Form(StrEnum):
    """How a log is given out."""

    JSONL = "jsonl"
    CSV = "csv"


@router.get("/galleries/{gallery}/retention", tags=["duty"], response_model=answers.RetentionAnswer)
def retention(called: Called, gallery: str) -> dict[str, Any]:
    """How long crops are kept, what is held, and how many are due."""
    hosted = called.gallery(Action.KEEP, gallery)
    kept, due = hosted.turns.ask(lambda opened: (Retention(opened).kept, Retention(opened).due()))
    return {**kept.model_dump(mode="json"), **_told(due)}


@router.put("/galleries/{gallery}/retention", tags=["duty"], status_code=204)
def set_rules(called: Called, gallery: str, body: RulesBody) -> None:
    """Replace the rules. Recorded."""
    hosted = called.gallery(Action.KEEP, gallery)
    with acting(called.who_without_purpose):
        Retention(hosted.open()).set_rules(body.rules)


@router.post("/galleries/{gallery}/retention/enforce", tags=["duty"], response_model=answers.Due)
def enforce(called: Called, gallery: str) -> dict[str, Any]:
    """Erase now what is due; the server does that by itself from time to time."""
    hosted = called.gallery(Action.KEEP, gallery)
    with acting(called.who_without_purpose):
        return _told(called.parts.service.enforce(hosted))


@router.post("/galleries/{gallery}/holds", tags=["duty"], status_code=201, response_model=Hold)
def hold(called: Called, gallery: str, body: HoldBody) -> dict[str, Any]:
    """Keep crops whatever the rules say, and refuse to remove or erase them. Recorded."""
    hosted = called.gallery(Action.KEEP, gallery)
    permit(called.actor, Action.KEEP, gallery, hosted.found(body.crops))
    where = hosted.turns.ask(lambda opened: limited(called.actor, body.where.where(), opened))
    with acting(called.who_without_purpose):
        return Retention(hosted.open()).hold(body.reason, body.crops, where).model_dump(mode="json")


@router.delete("/galleries/{gallery}/holds/{hold}", tags=["duty"], status_code=204)
def lift(called: Called, gallery: str, hold: str) -> None:
    """End a hold. Recorded."""
    hosted = called.gallery(Action.KEEP, gallery)
    with acting(called.who_without_purpose):
        Retention(hosted.open()).lift(hold)


def _told(due: Due) -> dict[str, Any]:
    """How many crops are due; not which."""
    return {"due": len(due.erase), "held": due.held, "undated": due.undated}


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
    entries = islice(numbered_entries(called.gallery(Action.AUDIT, gallery).path, start), count)
    if form is Form.CSV:
        return StreamingResponse(as_csv(entries), media_type="text/csv")
    return StreamingResponse((json.dumps(each) + "\n" for each in entries), media_type="application/x-ndjson")


@router.get("/galleries/{gallery}/audit/head", tags=["audit"], response_class=PlainTextResponse)
def head(called: Called, gallery: str) -> str:
    """A signed head of the log, for a witness to keep."""
    return sign_head(called.gallery(Action.AUDIT, gallery).path).text


@router.post("/galleries/{gallery}/audit/proof", tags=["audit"], response_class=PlainTextResponse)
def proof(called: Called, gallery: str, body: SinceBody) -> str:
    """A new head, and the proof that the log goes on from an earlier one; `pickout audit witness` checks it."""
    path, earlier = called.gallery(Action.AUDIT, gallery).path, read_head(body.since)
    return proof_between(path, earlier, sign_head(path))


@router.post("/galleries/{gallery}/audit/verify", tags=["audit"], response_model=answers.AuditState)
def verify(called: Called, gallery: str, body: HeadsBody) -> dict[str, Any]:
    """What is wrong with the log, by itself and against heads that were kept elsewhere."""
    path = called.gallery(Action.AUDIT, gallery).path
    found = examine(path, [read_head(each) for each in body.heads])
    told = {"entries": found.size, "root": found.root.hex(), "heads": found.heads, "faults": list(found.faults)}
    return {**told, "public_key": verifier(path)}


@router.get("/galleries/{gallery}/audit/crops/{crop}", tags=["audit"], response_model=answers.Entries)
def showing(called: Called, gallery: str, crop: CropId) -> dict[str, list[dict[str, Any]]]:
    """The entries that provably showed a crop."""
    hosted = called.gallery(Action.AUDIT, gallery)
    permit(called.actor, Action.AUDIT, gallery, hosted.found([crop]))
    return {"entries": [{"number": number, **entry} for number, entry in entries_showing(hosted.path, crop)]}


@router.get("/tokens", tags=["access"], response_model=answers.TokenList)
def tokens(called: Called) -> dict[str, list[dict[str, Any]]]:
    """Every token, without anything that would help to use one."""
    permit(called.actor, Action.TOKENS)
    every = called.parts.service.tokens.all()
    return {"tokens": [token.model_dump(mode="json", exclude={"digest"}) for token in every]}


@router.post("/tokens", tags=["access"], status_code=201, response_model=answers.NewToken)
def create_token(called: Called, body: TokenBody) -> dict[str, Any]:
    """A new token, which may do no more than the one that makes it. Its secret is told this once."""
    expires = datetime.now(UTC) + timedelta(days=body.days)
    limits = {"cameras": body.cameras, "galleries": body.galleries}
    token, secret = called.parts.service.tokens.create(
        called.actor, body.name, body.roles, expires, **limits, blurred=body.blurred
    )
    _record_everywhere(called, "token created", token=token.id, name=token.name, roles=list(token.roles))
    return {**token.model_dump(mode="json", exclude={"digest"}), "secret": secret}


@router.delete("/tokens/{token}", tags=["access"], status_code=204)
def revoke_token(called: Called, token: str) -> None:
    """Make a token invalid at once; not one's own."""
    called.parts.service.tokens.revoke(called.actor, token)
    _record_everywhere(called, "token revoked", token=token)


def _record_everywhere(called: Caller, event: str, **details: Any) -> None:
    """Into the log of each gallery that the caller may see."""
    service = called.parts.service
    with acting(Acting(service.who(called.actor), service.via)):
        for name in service.visible(called.actor):
            record_event(service.galleries[name].path, event, **details)
