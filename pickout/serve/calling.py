"""Who calls over HTTP, what for, and what may be answered instead of what was asked for."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request
from pydantic import BaseModel

from pickout.gallery.audit.log import Acting
from pickout.serve.access import OWNER, Actor
from pickout.serve.changes import Changes
from pickout.serve.crops import Crops
from pickout.serve.duty import Duty
from pickout.serve.guard import Measured
from pickout.serve.service import Service
from pickout.serve.watches import Watches


class ErrorBody(BaseModel):
    """What is wrong, in words."""

    error: str
    kind: str


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "garbled"},
    401: {"model": ErrorBody, "description": "no valid token"},
    403: {"model": ErrorBody, "description": "the token may not do this, or a rule refuses it"},
    404: {"model": ErrorBody, "description": "not there, or not to be seen"},
    408: {"model": ErrorBody, "description": "the body did not come in time"},
    409: {"model": ErrorBody, "description": "not as the gallery is now"},
    413: {"model": ErrorBody, "description": "too large"},
    415: {"model": ErrorBody, "description": "of another type than it should be"},
    421: {"model": ErrorBody, "description": "the server is not called so"},
    422: {"model": ErrorBody, "description": "the request's words are wrong"},
    429: {"model": ErrorBody, "description": "too many wrong tokens; see Retry-After"},
    500: {"model": ErrorBody, "description": "a fault of the server or damage of a gallery"},
    503: {"model": ErrorBody, "description": "too much waits; see Retry-After"},
    507: {"model": ErrorBody, "description": "no space left"},
}
"""Every error that any route may give."""


class Parts:
    """What routes use.

    Args:
        service: the galleries.
    """

    def __init__(self, service: Service) -> None:
        self.service, self.crops, self.changes = service, Crops(service), Changes(service)
        self.duty, self.watches = Duty(service, self.changes), Watches(service)
        self.measured = Measured()
        self.stopping: Callable[[], bool] = lambda: False
        self.loopback = True
        self.streams = 0


class Caller:
    """Who asks, and what for.

    Args:
        parts: of the server.
        actor: who.
        purpose: what for, as it was given; not checked yet.
    """

    def __init__(self, parts: Parts, actor: Actor, purpose: str | None) -> None:
        self.parts, self.actor, self._purpose = parts, actor, purpose

    @property
    def who(self) -> Acting:
        """For the audit, of what must have a purpose.

        Raises:
            UsageError: it has none, or another than those of the server.
        """
        return self.parts.service.acting(self.actor, self._purpose)

    @property
    def who_without_purpose(self) -> Acting:
        """For the audit, of what shows nobody."""
        return Acting(self.parts.service.who(self.actor), self.parts.service.via, self._purpose)


def caller(
    request: Request,
    authorization: Annotated[str | None, Header(description="`Bearer TOKEN`", max_length=500)] = None,
    pickout_purpose: Annotated[str | None, Header(description="What this is for.", max_length=200)] = None,
    purpose: Annotated[
        str | None, Query(description="The same, where a header cannot be sent.", max_length=200)
    ] = None,
) -> Caller:
    """Who asks.

    Raises:
        NotKnown: no valid token.
    """
    parts: Parts = request.app.state.parts
    actor = authenticate(parts, authorization, request.client.host if request.client else "unknown")
    request.state.token = actor.token
    return Caller(parts, actor, pickout_purpose or purpose)


def authenticate(parts: Parts, authorization: str | None, address: str) -> Actor:
    """Who comes with a header; the server's owner where there are no tokens and he is on the same machine.

    Raises:
        NotKnown: no valid token.
        ServerBusy: too many wrong ones.
    """
    tokens = parts.service.tokens
    if parts.loopback and not tokens.all():
        return OWNER
    scheme, _, given = (authorization or "").partition(" ")
    return tokens.actor(given.strip() if scheme.lower() == "bearer" else None, address)


Called = Annotated[Caller, Depends(caller)]
