"""Routes of the server's owner and its auditor: retention and holds, the audit, tokens."""

import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, StreamingResponse

from pickout.errors import UsageError
from pickout.gallery.audit import heads
from pickout.gallery.audit.log import Acting, acting, record_event
from pickout.gallery.changes.retention import Due, Hold
from pickout.gallery.search.filters import ANYWHERE
from pickout.serve import answers
from pickout.serve.access import Action, Token, permit
from pickout.serve.calling import Called, Caller, on, raw
from pickout.serve.hosting import Hosted
from pickout.serve.requests import HeadsBody, HoldBody, Id, RulesBody, SinceBody, TokenBody

router = APIRouter()
_GALLERY = "/galleries/{gallery}"
_MOST = 1_000_000
Kept = Annotated[Hosted, on(Action.KEEP, purpose=False)]
Audited = Annotated[Hosted, on(Action.AUDIT, purpose=False)]


@router.get(f"{_GALLERY}/retention", tags=["duty"], response_model=answers.RetentionAnswer)
def retention(hosted: Kept) -> dict[str, Any]:
    """How long crops are kept, what is held, and how many are due."""
    kept, due = hosted.turns.ask(lambda opened: (opened.retention.kept, opened.retention.due()))
    return {**kept.model_dump(mode="json"), **_told(due)}


@router.put(f"{_GALLERY}/retention", tags=["duty"], status_code=204)
def set_rules(hosted: Kept, body: RulesBody) -> None:
    """Replace the rules. Recorded."""
    hosted.open().retention.set_rules(body.rules)


@router.post(f"{_GALLERY}/retention/enforce", tags=["duty"], response_model=answers.Due)
def enforce(called: Called, hosted: Kept) -> dict[str, Any]:
    """Erase now what is due; the server does that by itself from time to time."""
    return _told(called.parts.service.enforce(hosted))


@router.post(f"{_GALLERY}/holds", tags=["duty"], status_code=201, response_model=Hold)
def hold(called: Called, hosted: Kept, body: HoldBody) -> Hold:
    """Keep crops whatever the rules say, and refuse to remove or erase them. Recorded."""
    permit(called.actor, Action.KEEP, hosted.name, hosted.found(body.crops))
    where, opened = body.where.where(), hosted.open()
    if body.crops and where != ANYWHERE:  # of these crops, those that pass
        return opened.retention.hold(body.reason, opened.choose(body.crops, where))
    return opened.retention.hold(body.reason, body.crops, where)


@router.delete(_GALLERY + "/holds/{hold}", tags=["duty"], status_code=204)
def lift(hosted: Kept, hold: str) -> None:
    """End a hold. Recorded."""
    hosted.open().retention.lift(hold)


def _told(due: Due) -> dict[str, Any]:
    """How many crops are due; not which."""
    return {"due": len(due.erase), "held": due.held, "undated": due.undated}


@router.get(f"{_GALLERY}/audit", tags=["audit"], **raw("the log", "application/x-ndjson", "text/csv"))
def audit(
    hosted: Audited,
    start: Annotated[int, Query(ge=1, le=2**53)] = 1,
    count: Annotated[int, Query(ge=1, le=_MOST)] = _MOST,
    form: Literal["jsonl", "csv"] = "jsonl",
) -> StreamingResponse:
    """The log of searches and changes, as JSON lines or CSV."""
    entries = islice(heads.numbered_entries(hosted.path, start), count)
    if form == "csv":
        return StreamingResponse(heads.as_csv(entries), media_type="text/csv")
    return StreamingResponse((json.dumps(each) + "\n" for each in entries), media_type="application/x-ndjson")


@router.get(f"{_GALLERY}/audit/head", tags=["audit"], response_class=PlainTextResponse)
def head(hosted: Audited) -> str:
    """A signed head of the log, for a witness to keep."""
    return heads.sign_head(hosted.path).text


@router.post(f"{_GALLERY}/audit/proof", tags=["audit"], response_class=PlainTextResponse)
def proof(hosted: Audited, body: SinceBody) -> str:
    """A new head, and the proof that the log goes on from an earlier one; `pickout audit witness` checks it."""
    return heads.proof(hosted.path, heads.read_head(body.since), heads.sign_head(hosted.path))


@router.post(f"{_GALLERY}/audit/verify", tags=["audit"], response_model=answers.AuditState)
def verify(hosted: Audited, body: HeadsBody) -> dict[str, Any]:
    """What is wrong with the log, by itself and against heads that were kept elsewhere."""
    found = heads.examine(hosted.path, [heads.read_head(each) for each in body.heads])
    told = {"entries": found.size, "root": found.root.hex(), "heads": found.heads, "faults": list(found.faults)}
    return {**told, "public_key": heads.verifier(hosted.path)}


@router.get(_GALLERY + "/audit/crops/{crop}", tags=["audit"], response_model=answers.Entries)
def showing(called: Called, hosted: Audited, crop: Id) -> dict[str, list[dict[str, Any]]]:
    """The entries that provably showed a crop."""
    permit(called.actor, Action.AUDIT, hosted.name, hosted.found([crop]))
    return {"entries": [{"number": number, **entry} for number, entry in heads.entries_showing(hosted.path, crop)]}


@router.get("/tokens", tags=["access"], response_model=answers.TokenList)
def tokens(called: Called) -> dict[str, list[Token]]:
    """The tokens of no other galleries and cameras than one's own, without anything that would help to use one."""
    return {"tokens": called.parts.service.tokens.seen(called.actor)}


@router.post("/tokens", tags=["access"], status_code=201, response_model=answers.NewToken)
def create_token(called: Called, body: TokenBody) -> dict[str, Any]:
    """A new token, which may do no more than the one that makes it. Its secret is told this once."""
    expires, how = datetime.now(UTC) + timedelta(days=body.days), body.model_dump(exclude={"days"})
    permit(called.actor, Action.TOKENS)
    there = called.parts.service.visible(called.actor)
    if absent := set(body.galleries or ()) - set(there):
        raise UsageError(f"galleries: no '{min(absent)}' here; there are {', '.join(there) or 'none'}")
    token, secret = called.parts.service.tokens.create(called.actor, expires=expires, **how)
    _record_everywhere(called, "token created", token=token.id, name=token.name, roles=list(token.roles))
    return {**token.model_dump(exclude={"digest"}), "secret": secret}


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
