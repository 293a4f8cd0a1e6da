"""Searches that are asked of each new crop, at a rate of false alarms a day that their owner states.

The crops that are there when a watch is made are its background: a new crop whose score is reached by `b` of `n`
background crops has `p = (1 + b) / (1 + n)`. Where new crops are like the background and the person is not among them,
`p` is at most `q` for at most a share `q` of them (conformal p-value; Vovk et al., 2005). With `m` new crops a day,
firing at `p <= r / m` gives at most `r` false alarms a day in the mean. The smallest `p` is `1 / (1 + n)`, so less than
`m / (1 + n)` alarms a day cannot be promised, and that is said.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.errors import NotThere, PickoutError, UsageError
from pickout.gallery.audit.log import Acting, acting, record_event
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.search import Scored
from pickout.serve.access import OWNER, Action, Actor, permit
from pickout.serve.crops import told_row
from pickout.serve.hosting import Hosted
from pickout.serve.requests import WatchBody
from pickout.serve.service import Service, limited

WATCHES = "watches.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS watches (gallery TEXT, name TEXT, search TEXT, rate REAL, crops REAL, webhook TEXT,
    token TEXT, made TEXT, purpose TEXT, PRIMARY KEY (gallery, name));
CREATE TABLE IF NOT EXISTS background (gallery TEXT, name TEXT, scores BLOB, PRIMARY KEY (gallery, name));
CREATE TABLE IF NOT EXISTS seen (gallery TEXT, name TEXT, crop TEXT, PRIMARY KEY (gallery, name, crop)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms (number INTEGER PRIMARY KEY AUTOINCREMENT, gallery TEXT, name TEXT, crop TEXT,
    at TEXT, p REAL, score REAL, webhook TEXT, sent TEXT, UNIQUE (gallery, name, crop));
"""
_MOST = 100
"""Watches of one gallery."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a watch can promise.

    Args:
        background: crops that its scores are held against.
        crops_a_day: new crops that pass its filters on a day.
        share: the share of new crops that may fire.
    """

    background: int
    crops_a_day: float
    share: float

    def as_json(self) -> dict[str, Any]:
        """With plain values, and in words where nothing can be promised."""
        least = self.crops_a_day / (1 + self.background)
        kept = self.share >= 1 / (1 + self.background)
        told = f"too few crops are known to promise less than {least:.3g} false alarms a day; the watch fires for none"
        note = None if kept else told
        return {"promised": kept, "least_false_alarms_a_day": least, "crops_a_day": self.crops_a_day, "note": note}


class Watches:
    """The watches of a service, and what they found.

    Args:
        service: the galleries.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._file = service.state / WATCHES
        self._looking = threading.Lock()

    def create(self, actor: Actor, name: str, body: WatchBody, who: Acting) -> dict[str, Any]:
        """Ask a saved search of each crop that comes from now on.

        Raises:
            UsageError: a watch of that name, an address that is not allowed, or no way to tell how many crops come.
            NotThere: no such saved search.
        """
        hosted = self._service.gallery(actor, Action.WATCH, name)
        if body.webhook is not None and not allowed_webhook(body.webhook, self._service.settings.webhooks):
            raise UsageError("alarms may not be sent to this address; see 'webhooks' in settings.toml")
        scored = hosted.turns.ask(lambda gallery: self._scored(actor, hosted, gallery, body.search))
        crops = body.crops_a_day or _crops_a_day(scored)
        with self._opened() as database:
            names = [row[0] for row in database.execute("SELECT name FROM watches WHERE gallery = ?", (name,))]
            if body.name in names or len(names) >= _MOST:
                raise UsageError(f"there is a watch of this name, or there are {_MOST}; delete one first")
            with acting(who):
                record_event(
                    hosted.path, "watch made", name=body.name, search=body.search, rate=body.false_alarms_a_day
                )
            made = datetime.now(UTC).isoformat(timespec="seconds")
            values = (name, body.name, body.search, body.false_alarms_a_day, crops, body.webhook, actor.token, made)
            with database:
                database.execute("INSERT INTO watches VALUES (?,?,?,?,?,?,?,?,?)", (*values, who.purpose))
                background = np.sort(scored.scores).astype("<f4").tobytes()
                database.execute("INSERT INTO background VALUES (?,?,?)", (name, body.name, background))
                seen = ((name, body.name, each.decode()) for each in scored.ids)
                database.executemany("INSERT INTO seen VALUES (?,?,?)", seen)
        promise = Promise(len(scored.scores), crops, body.false_alarms_a_day / crops)
        return {"name": body.name, "search": body.search, **promise.as_json()}

    def all(self, actor: Actor, name: str) -> list[dict[str, Any]]:
        """One's own watches; all of them for the account that runs the server."""
        self._service.gallery(actor, Action.WATCH, name)
        found = []
        for row in self._rows(name):
            if actor.token in (None, row["token"]):
                promise = Promise(row["background"], row["crops"], row["rate"] / row["crops"]).as_json()
                told = {key: row[key] for key in ("name", "search", "webhook", "made")}
                found.append(
                    {**told, "false_alarms_a_day": row["rate"], "stopped": self._owner(row) is None, **promise}
                )
        return found

    def delete(self, actor: Actor, name: str, watch: str) -> None:
        """Ask no more, and forget what was found."""
        self._own(actor, name, watch)
        with self._opened() as database, database:
            for table in ("watches", "background", "seen", "alarms"):
                database.execute(f"DELETE FROM {table} WHERE gallery = ? AND name = ?", (name, watch))

    def alarms(self, actor: Actor, name: str, watch: str, after: int = 0) -> list[dict[str, Any]]:
        """What a watch found, oldest first; a crop that was erased, or is not to be seen any more, is left out.

        Args:
            actor: its owner.
            name: the gallery.
            watch: which.
            after: only alarms of a larger number.
        """
        hosted = self._own(actor, name, watch)
        with self._opened() as database:
            found = database.execute(
                "SELECT number, crop, at, p, score FROM alarms WHERE gallery = ? AND name = ? AND number > ? "
                "ORDER BY number LIMIT 1000",
                (name, watch, after),
            ).fetchall()
        rows = hosted.rows([each[1] for each in found])
        told = []
        for number, crop, at, p, score in found:
            row = rows.get(crop)
            if row is not None and (actor.cameras is None or row.metadata.camera in actor.cameras):
                told.append({"number": number, "at": at, "p": p, "score": score, "crop": told_row(row)})
        return told

    def look(self) -> int:
        """Ask every watch of the crops that are new; how many alarms there were."""
        with self._looking:
            return sum(self._look(hosted) for hosted in self._service.galleries.values())

    def unsent(self) -> list[tuple[int, str, dict[str, Any]]]:
        """Alarms that are still to be sent: number, address, and what is told, which shows nobody."""
        with self._opened() as database:
            rows = database.execute(
                "SELECT number, webhook, gallery, name, crop, at, p FROM alarms "
                "WHERE webhook IS NOT NULL AND sent IS NULL LIMIT 100"
            ).fetchall()
        names = ("gallery", "watch", "crop", "at", "p")
        return [(row[0], row[1], {"alarm": row[0], **dict(zip(names, row[2:], strict=True))}) for row in rows]

    def sent(self, number: int) -> None:
        """An alarm has arrived."""
        with self._opened() as database, database:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            database.execute("UPDATE alarms SET sent = ? WHERE number = ?", (now, number))

    def _look(self, hosted: Hosted) -> int:
        fired = 0
        for row in self._rows(hosted.name):
            owner = self._owner(row)
            if owner is None:
                continue
            try:
                permit(owner, Action.WATCH, hosted.name)
                scored = hosted.turns.ask(lambda g, o=owner, s=row["search"]: self._scored(o, hosted, g, s))  # type: ignore[misc]
            except (
                PickoutError
            ):  # the search or the owner's rights are gone: told by `stopped` and the list of searches
                continue
            fired += self._fire(hosted, row, owner, scored)
        return fired

    def _fire(self, hosted: Hosted, row: sqlite3.Row, owner: Actor, scored: Scored) -> int:
        key = (hosted.name, row["name"])
        with self._opened() as database:
            seen = {each[0] for each in database.execute("SELECT crop FROM seen WHERE gallery=? AND name=?", key)}
            background = np.frombuffer(
                database.execute("SELECT scores FROM background WHERE gallery=? AND name=?", key).fetchone()[0], "<f4"
            )
            ids = [each.decode() for each in scored.ids]
            new = np.array([each not in seen for each in ids], dtype=np.bool_)
            gone = seen - set(ids)
            if not new.any() and not gone:
                return 0
            p = p_values(scored.scores[new], background)
            fresh = [each for each, is_new in zip(ids, new, strict=True) if is_new]
            limit = row["rate"] / row["crops"]
            found = [(each, float(p_), float(s)) for each, p_, s in zip(fresh, p, scored.scores[new], strict=True)
                     if p_ <= limit]  # fmt: skip
            if found:
                with acting(Acting(self._service.who(owner), "watch", row["purpose"])):
                    record_event(hosted.path, "alarm", [each for each, _, _ in found], watch=row["name"])
            now = datetime.now(UTC).isoformat(timespec="seconds")
            with database:
                database.executemany("INSERT INTO seen VALUES (?,?,?)", ((*key, each) for each in fresh))
                for table in ("seen", "alarms"):  # what is gone from the gallery is forgotten here, too
                    statement = f"DELETE FROM {table} WHERE gallery = ? AND name = ? AND crop = ?"
                    database.executemany(statement, ((*key, each) for each in gone))
                database.executemany(
                    "INSERT OR IGNORE INTO alarms (gallery, name, crop, at, p, score, webhook) VALUES (?,?,?,?,?,?,?)",
                    ((*key, each, now, p_, s, row["webhook"]) for each, p_, s in found),
                )
            return len(found)

    def _scored(self, actor: Actor, hosted: Hosted, gallery: Gallery, search: str) -> Scored:
        query, where, _ = self._service.saved_parts(actor, hosted, search)
        return gallery.scores(query, where=limited(actor, where, gallery))

    def _owner(self, row: sqlite3.Row) -> Actor | None:
        """Whose watch it is; None where his token is not valid any more."""
        if row["token"] is None:
            return OWNER
        tokens = {token.id: token for token in self._service.tokens.all()}
        found = tokens.get(row["token"])
        return found.actor() if found is not None and found.is_valid else None

    def _own(self, actor: Actor, name: str, watch: str) -> Hosted:
        hosted = self._service.gallery(actor, Action.WATCH, name)
        if not any(row["name"] == watch and actor.token in (None, row["token"]) for row in self._rows(name)):
            raise NotThere("no watch of this name")
        return hosted

    def _rows(self, gallery: str) -> Sequence[sqlite3.Row]:
        with self._opened() as database:
            return database.execute(
                "SELECT *, length(scores) / 4 AS background FROM watches JOIN background USING (gallery, name) "
                "WHERE gallery = ? ORDER BY name",
                (gallery,),
            ).fetchall()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file.touch(mode=0o600)
        with closing(sqlite3.connect(self._file, timeout=60)) as database:
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA secure_delete = ON")
            database.executescript(_TABLES)
            yield database


def p_values(scores: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float64]:
    """The share of the background, and of the crop itself, whose score is at least a crop's (n,).

    Args:
        scores: (n,) of new crops.
        background: (b,) sorted.
    """
    reached = len(background) - np.searchsorted(background, scores, side="left")
    return np.asarray((1 + reached) / (1 + len(background)), dtype=np.float64)


def allowed_webhook(address: str, allowed: Sequence[str]) -> bool:
    """Whether alarms may be sent to an address: its scheme, host and port are among those that the owner allows."""
    import httpx2

    try:
        asked = httpx2.URL(address)
        return not asked.userinfo and any(
            (own.scheme, own.host, own.port) == (asked.scheme, asked.host, asked.port)
            for own in map(httpx2.URL, allowed)
        )
    except httpx2.InvalidURL:
        return False


def send(watches: Watches, secret: str) -> None:
    """Send alarms that have not arrived; what fails is tried again the next time.

    Args:
        watches: whose.
        secret: with which the body is signed, in the header `Pickout-Signature`.
    """
    import hmac

    import httpx2

    for number, address, told in watches.unsent():
        body = json.dumps(told).encode()
        signature = hmac.digest(secret.encode(), body, "sha256").hex()
        headers = {"Content-Type": "application/json", "Pickout-Signature": f"sha256={signature}"}
        try:
            answer = httpx2.post(address, content=body, headers=headers, timeout=5, follow_redirects=False)
        except httpx2.HTTPError:
            continue
        if answer.is_success:
            watches.sent(number)


def _crops_a_day(scored: Scored) -> float:
    """How many crops pass on a day, over the days that those with a time cover."""
    times = scored.times[~np.isnat(scored.times)]
    if len(times) < 2 or times.min() == times.max():
        raise UsageError("these crops' times do not tell how many come on a day; give crops_a_day")
    days = max(float((times.max() - times.min()) / np.timedelta64(1, "D")), 1 / 24)
    return len(times) / days
