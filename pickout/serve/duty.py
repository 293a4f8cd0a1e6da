"""What the owner of a server and its auditor ask: how long crops are kept, what the log says, who has a token."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pickout.errors import PickoutError
from pickout.gallery.audit.examination import entries_showing, examine, numbered_entries
from pickout.gallery.audit.heads import Head, proof, read_head, sign_head, verifier
from pickout.gallery.audit.log import Acting, acting, record_event
from pickout.serve.access import Action, Actor, permit
from pickout.serve.changes import Changes
from pickout.serve.hosting import Hosted
from pickout.serve.requests import HoldBody, RulesBody, TokenBody
from pickout.serve.retention import Due, Retention
from pickout.serve.service import Service, limited

_log = logging.getLogger(__name__)


class Duty:
    """Retention, audit and tokens of a service.

    Args:
        service: the galleries.
        changes: what can be done to them.
    """

    def __init__(self, service: Service, changes: Changes) -> None:
        self._service, self._changes = service, changes

    def retention(self, actor: Actor, name: str) -> dict[str, Any]:
        """The rules and holds of a gallery, and what is due."""
        hosted = self._service.gallery(actor, Action.KEEP, name)
        kept, due = hosted.turns.ask(lambda gallery: (Retention(gallery).kept, Retention(gallery).due()))
        return {**kept.model_dump(mode="json"), **told_due(due)}

    def set_rules(self, actor: Actor, name: str, body: RulesBody, who: Acting) -> None:
        """Replace the rules."""
        hosted = self._service.gallery(actor, Action.KEEP, name)
        with acting(who):
            Retention(hosted.open()).set_rules(body.rules)

    def hold(self, actor: Actor, name: str, body: HoldBody, who: Acting) -> dict[str, Any]:
        """Keep crops whatever the rules say."""
        hosted = self._service.gallery(actor, Action.KEEP, name)
        rows = hosted.rows(body.crops)
        permit(actor, Action.KEEP, name, [rows.get(each) for each in body.crops])
        where = hosted.turns.ask(lambda gallery: limited(actor, body.where.where(), gallery))
        with acting(who):
            return Retention(hosted.open()).hold(body.reason, body.crops, where).model_dump(mode="json")

    def lift(self, actor: Actor, name: str, identifier: str, who: Acting) -> None:
        """End a hold."""
        hosted = self._service.gallery(actor, Action.KEEP, name)
        with acting(who):
            Retention(hosted.open()).lift(identifier)

    def enforce(self, actor: Actor, name: str, who: Acting) -> dict[str, Any]:
        """Erase now what is due."""
        hosted = self._service.gallery(actor, Action.KEEP, name)
        with acting(who):
            return told_due(self._enforce(hosted))

    def tend(self) -> None:
        """What a server does from time to time: enforce retention, sign heads."""
        for hosted in self._service.galleries.values():
            try:
                self._enforce(hosted)
            except (PickoutError, OSError) as error:
                _log.error("%s", error)
        self.sign_heads()

    def sign_heads(self) -> None:
        """A head of each gallery's log, noted down beside it."""
        for hosted in self._service.galleries.values():
            try:
                sign_head(hosted.path)
            except (PickoutError, OSError) as error:
                _log.error("%s", error)

    def _enforce(self, hosted: Hosted) -> Due:
        due = hosted.turns.ask(lambda gallery: Retention(gallery).due())
        if due.erase:
            record_event(hosted.path, "retention enforced", rows=len(due.erase), held=due.held)
            self._changes.erase_now(hosted, due.erase)
        return due

    def entries(self, actor: Actor, name: str, start: int) -> Iterator[dict[str, Any]]:
        """The entries of the log from a number on."""
        hosted = self._service.gallery(actor, Action.AUDIT, name)
        return numbered_entries(hosted.path, start)

    def head(self, actor: Actor, name: str, since: str | None = None) -> str:
        """A signed head of the log; with an earlier one, the proof that leads on from it."""
        hosted = self._service.gallery(actor, Action.AUDIT, name)
        earlier: Head | None = None if since is None else read_head(since)
        found = sign_head(hosted.path)
        return found.text if earlier is None else proof(hosted.path, earlier, found)

    def verify(self, actor: Actor, name: str, heads: list[str]) -> dict[str, Any]:
        """What is wrong with the log, by itself and against earlier heads."""
        hosted = self._service.gallery(actor, Action.AUDIT, name)
        found = examine(hosted.path, [read_head(each) for each in heads])
        told = {"entries": found.size, "root": found.root.hex(), "heads": found.heads, "faults": list(found.faults)}
        return {**told, "public_key": verifier(hosted.path)}

    def showing(self, actor: Actor, name: str, crop: str) -> list[dict[str, Any]]:
        """The entries that provably showed a crop."""
        hosted = self._service.gallery(actor, Action.AUDIT, name)
        row = hosted.rows([crop]).get(crop)
        permit(actor, Action.AUDIT, name, [row])
        return [{"number": number, **entry} for number, entry in entries_showing(hosted.path, crop)]

    def create_token(self, actor: Actor, body: TokenBody) -> dict[str, Any]:
        """A new token; its secret is told this once."""
        expires = datetime.now(UTC) + timedelta(days=body.days)
        token, secret = self._service.tokens.create(
            actor,
            body.name,
            body.roles,
            expires,
            cameras=body.cameras,
            galleries=body.galleries,
            blurred=body.blurred,
        )
        told = token.model_dump(mode="json", exclude={"digest"})
        self._everywhere(actor, "token created", token=token.id, name=token.name, roles=list(token.roles))
        return {**told, "secret": secret}

    def list_tokens(self, actor: Actor) -> list[dict[str, Any]]:
        """The tokens, without anything that would help to use one."""
        permit(actor, Action.TOKENS)
        return [token.model_dump(mode="json", exclude={"digest"}) for token in self._service.tokens.all()]

    def revoke_token(self, actor: Actor, identifier: str) -> None:
        """Make a token invalid."""
        self._service.tokens.revoke(actor, identifier)
        self._everywhere(actor, "token revoked", token=identifier)

    def _everywhere(self, actor: Actor, event: str, **details: Any) -> None:
        """Into the log of each gallery that the actor may see."""
        with acting(Acting(self._service.who(actor), self._service.via)):
            for name in self._service.visible(actor):
                record_event(self._service.galleries[name].path, event, **details)


def told_due(due: Due) -> dict[str, Any]:
    """How many crops are due; not which."""
    return {"due": len(due.erase), "held": due.held, "undated": due.undated}
