"""Who may do what: tokens, and the one function that decides."""

import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from pickout.config import Settings
from pickout.errors import AccessDenied, GalleryDamaged, NotKnown, NotThere, ServerBusy, UsageError
from pickout.files import atomic_path
from pickout.gallery.storage.lock import locked
from pickout.gallery.storage.rows import Row

TOKENS = "tokens.json"
_PREFIX = "pickout"
_MINUTE = 60.0
_ADDRESSES = 10_000


class Role(StrEnum):
    """What a token is for. `admin` may search and index, too; only `audit` may read the audit."""

    SEARCH = "search"
    INDEX = "index"
    AUDIT = "audit"
    ADMIN = "admin"


class Action(StrEnum):
    """What is asked for."""

    SEARCH = "search"
    IMAGE = "look at a crop"
    EXPLAIN = "explain"
    WATCH = "watch"
    CASE = "work on cases"
    INDEX = "add or describe crops"
    ERASE = "remove or erase crops"
    EXPORT = "export"
    KEEP = "set how long crops are kept"
    MANAGE = "change a whole gallery"
    AUDIT = "read the audit"
    TOKENS = "manage tokens"
    SERVER = "look at the server"


_NEEDS: dict[Action, tuple[Role, ...]] = {
    Action.INDEX: (Role.INDEX, Role.ADMIN),
    **dict.fromkeys((Action.ERASE, Action.EXPORT, Action.KEEP, Action.MANAGE, Action.TOKENS), (Role.ADMIN,)),
    Action.AUDIT: (Role.AUDIT,),
    Action.SERVER: (Role.ADMIN, Role.AUDIT),
}
"""The roles that may do it; for the rest, `search` and `admin`."""
_WHOLE = {Action.MANAGE, Action.KEEP, Action.AUDIT}
"""What concerns every crop of a gallery, so that a token of some cameras may not do it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """On whose behalf a request is made. Cameras and galleries: None means all; token: None is the server's account."""

    name: str
    roles: frozenset[Role]
    cameras: frozenset[str] | None = None
    galleries: frozenset[str] | None = None
    blurred: bool = False
    token: str | None = None
    expires: datetime | None = None

    def sees(self, camera: str | None) -> bool:
        """Whether crops of a camera, or of none, may be shown to him."""
        return self.cameras is None or camera in self.cameras


OWNER = Actor("the account that runs the server", frozenset(Role))
"""Whoever reaches a server on its own machine while it has no tokens: he could run the commands just as well."""


def permit(actor: Actor, action: Action, gallery: str | None = None, crops: Iterable[Row | None] = ()) -> None:
    """Make sure that `actor` may do this. Search, images, explanations, export, watches and audit all ask here."""
    needed = _NEEDS.get(action, (Role.SEARCH, Role.ADMIN))
    if not actor.roles & set(needed):
        raise AccessDenied(f"this token may not {action}; ask for one with the role {' or '.join(needed)}")
    if gallery is not None and actor.galleries is not None and gallery not in actor.galleries:
        raise no_gallery(gallery)
    if action in _WHOLE and actor.cameras is not None:
        raise AccessDenied(f"this token may not {action}: it is limited to some cameras")
    for crop in crops:
        if crop is None or not actor.sees(crop.metadata.camera):
            raise NotThere("no crop of this id")


def no_gallery(name: str) -> NotThere:
    """What is said of a gallery that is not there, or not to be seen."""
    return NotThere(f"no gallery '{name}'")


class TooManyFailures(ServerBusy):
    """Too many wrong tokens from one address."""


class TokenFacts(Settings):
    """What a token may do, as lists tell it."""

    id: str = Field(description="Names it in lists and in the audit.")
    name: str = Field(description="Who has it.")
    roles: tuple[Role, ...] = Field(description="What it is for.")
    cameras: tuple[str, ...] | None = Field(None, description="Whose crops it may see; none: all crops.")
    galleries: tuple[str, ...] | None = Field(None, description="Which galleries it may see; none: all.")
    blurred: bool = Field(False, description="Whether faces are always blurred.")
    created: datetime = Field(description="When, UTC.")
    expires: datetime = Field(description="Until when it is valid, UTC.")
    revoked: datetime | None = Field(None, description="Since when it is not any more, UTC.")


class Token(TokenFacts):
    """A token as it is kept, with a digest of its secret: SHA-256, since 256 random bits need no slow hash."""

    digest: str

    def actor(self) -> Actor:
        """Who comes with it."""
        cameras = None if self.cameras is None else frozenset(self.cameras)
        galleries = None if self.galleries is None else frozenset(self.galleries)
        return Actor(self.name, frozenset(self.roles), cameras, galleries, self.blurred, self.id, self.expires)

    @property
    def is_valid(self) -> bool:
        """Whether it is neither expired nor revoked."""
        return self.revoked is None and datetime.now(UTC) < self.expires


_LIST = TypeAdapter(list[Token])


class Tokens:
    """The tokens of a server, in `tokens.json` in its folder. Other processes' changes are seen at once."""

    def __init__(self, state: Path, failures: int = 10) -> None:
        self._file, self._limit = state / TOKENS, failures
        self._read_at: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}
        self._failed: dict[str, deque[float]] = {}

    def all(self) -> list[Token]:
        """Every token, revoked ones too."""
        try:
            status = self._file.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._read_at:
                self._tokens = {each.id: each for each in _LIST.validate_json(self._file.read_bytes())}
                self._read_at = seen
        except FileNotFoundError:
            self._tokens, self._read_at = {}, None
        except (OSError, ValidationError) as error:
            raise GalleryDamaged(f"{self._file}: cannot be read ({type(error).__name__}); mend or delete it") from None
        return list(self._tokens.values())

    def create(
        self,
        by: Actor,
        name: str,
        roles: Iterable[Role],
        expires: datetime,
        *,
        cameras: Iterable[str] | None = None,
        galleries: Iterable[str] | None = None,
        blurred: bool = False,
    ) -> tuple[Token, str]:
        """A new token, and its secret, which is told this once."""
        permit(by, Action.TOKENS)
        secret = secrets.token_urlsafe(32)
        token = Token(
            id=secrets.token_hex(4),
            name=name,
            digest=hashlib.sha256(secret.encode()).hexdigest(),
            roles=tuple(sorted(set(roles))),
            cameras=None if cameras is None else tuple(sorted(set(cameras))),
            galleries=None if galleries is None else tuple(sorted(set(galleries))),
            blurred=blurred,
            created=datetime.now(UTC).replace(microsecond=0),
            expires=expires.astimezone(UTC).replace(microsecond=0),
        )
        if not token.roles or not 0 < len(name) <= 100 or not name.isprintable() or not token.is_valid:
            raise UsageError("a token needs a role, a printable name of at most 100 characters and an end to come")
        if Role.AUDIT in token.roles and token.cameras is not None:
            raise UsageError("the audit is of a whole gallery; a token with the role audit cannot be of some cameras")
        _refuse_more(by, token.actor())
        self._change(lambda tokens: [*tokens, token])
        return token, f"{_PREFIX}_{token.id}_{secret}"

    def seen(self, by: Actor) -> list[Token]:
        """The tokens of no other galleries and cameras than the caller's."""
        permit(by, Action.TOKENS)
        return [each for each in self.all() if each.id == by.token or _in_reach(by, each.actor())]

    def revoke(self, by: Actor, identifier: str) -> None:
        """Make a token invalid at once; one out of reach is answered like one that is not there."""
        found = {each.id: each for each in self.seen(by)}.get(identifier)
        if found is None:
            raise NotThere("no token of this id")
        if identifier == by.token:
            raise AccessDenied("a token cannot change its own rights, and so not revoke itself; ask somebody else")
        _refuse_more(by, found.actor())
        ended = found.model_copy(update={"revoked": datetime.now(UTC).replace(microsecond=0)})
        self._change(lambda tokens: [ended if each.id == identifier else each for each in tokens])

    def actor(self, given: str | None, address: str, *, near: bool = False) -> Actor:
        """Who comes with a token; `near`, on the same machine: the server's owner while there are no tokens."""
        if near and not self.all():
            return OWNER
        prefix, _, rest = (given or "").partition("_")
        identifier, _, secret = rest.partition("_")
        known = {each.id: each for each in self.all()}.get(identifier)
        # Wrong secrets of a token that is there do not lock out others behind the same address.
        key = f"{address} {identifier}" if known else address
        recent = time.monotonic() - _MINUTE
        if len(self._failed) > _ADDRESSES:
            self._failed = {name: times for name, times in self._failed.items() if times[-1] > recent}
        times = self._failed.get(key)
        if times is not None and len(times) == self._limit and times[0] > recent:
            raise TooManyFailures("too many wrong tokens; wait a minute", int(times[0] - recent) + 1)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        equal = hmac.compare_digest(digest, known.digest if known else "0" * 64)
        if known is not None and equal and prefix == _PREFIX and known.is_valid:
            return known.actor()
        if given is not None:
            self._failed.setdefault(key, deque(maxlen=self._limit)).append(time.monotonic())
        raise NotKnown("a valid token is needed: Authorization: Bearer TOKEN")

    def _change(self, change: Callable[[list[Token]], list[Token]]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self._file.with_suffix(".lock"), 30, f"{self._file}: another process is changing it; try again"):
            text = json.dumps([each.model_dump(mode="json") for each in change(self.all())], indent=1)
            with atomic_path(self._file, private=True) as temporary:
                temporary.write_text(text, encoding="utf-8")


def _refuse_more(by: Actor, asked: Actor) -> None:
    """A token must not allow more than the one that it is made or revoked with, nor longer."""
    within = asked.roles <= by.roles | ({Role.SEARCH, Role.INDEX} if Role.ADMIN in by.roles else set())
    within &= _in_reach(by, asked)
    within &= asked.blurred or not by.blurred
    within &= by.expires is None or (asked.expires is not None and asked.expires <= by.expires)
    if not within:
        raise AccessDenied("this would be a token that may do more, see more or last longer than your own")


def _in_reach(by: Actor, asked: Actor) -> bool:
    reach = by.cameras is None or (asked.cameras is not None and asked.cameras <= by.cameras)
    return reach and (by.galleries is None or (asked.galleries is not None and asked.galleries <= by.galleries))
