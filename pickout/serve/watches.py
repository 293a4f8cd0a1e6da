"""Searches that are asked of each new crop, at a rate of false alarms a day that their owner states.

The crops that are there when a watch is made are its background: a new crop whose score is reached by `b` of `n`
background crops has `p = (1 + b) / (1 + n)`. Where new crops are like the background and the person is not among them,
`p` is at most `q` for at most a share `q` of them (conformal p-value; Vovk et al., 2005). With `m` new crops a day,
firing at `p <= r / m` gives at most `r` false alarms a day in the mean. The smallest `p` is `1 / (1 + n)`, so less than
`m / (1 + n)` alarms a day cannot be promised, and that is said."""

import json
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickout.errors import NotThere, PickoutError, UsageError
from pickout.gallery.audit.log import Acting, acting, record_event
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.search import Scored
from pickout.serve.access import OWNER, Action, Actor, permit
from pickout.serve.crops import told_row
from pickout.serve.database import Database, now
from pickout.serve.hosting import Hosted
from pickout.serve.requests import WatchBody
from pickout.serve.service import Service, limited

_MOST = 100  # watches of one gallery
_SENT = 100  # alarms that one address gets at a time


class Watches:
    """The watches of a service, and what they found."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = Database(service.state, "watches")
        self._looking = threading.Lock()
        service.on_erasing.append(self._forget)

    def create(self, actor: Actor, hosted: Hosted, body: WatchBody, purpose: str | None) -> dict[str, Any]:
        """Ask a saved search of each crop that comes from now on."""
        name = hosted.name
        if body.webhook is not None and not allowed_webhook(body.webhook, self._service.settings.webhooks):
            raise UsageError("alarms may not be sent to this address; see 'webhooks' in settings.toml")
        scored = hosted.turns.ask(lambda gallery: self._scored(actor, hosted, gallery, body.search))
        rate, crops = body.false_alarms_a_day, body.crops_a_day or _crops_a_day(scored)
        names = {row["name"] for row in self._rows(name)}
        if body.name in names or len(names) >= _MOST:
            raise UsageError(f"there is a watch of this name, or there are {_MOST}; delete one first")
        record_event(hosted.path, "watch made", name=body.name, search=body.search, rate=rate)
        values = (name, body.name, body.search, rate, crops, body.webhook, actor.token, now(), purpose)
        background = np.sort(scored.scores).astype("<f4").tobytes()
        with self._database.opened() as database:
            database.execute("INSERT INTO watches VALUES (?,?,?,?,?,?,?,?,?)", values)
            database.execute("INSERT INTO background VALUES (?,?,?)", (name, body.name, background))
            model = hosted.open().manifest.model.fingerprint
            database.execute("INSERT OR REPLACE INTO models VALUES (?,?,?)", (name, body.name, model))
            seen = ((name, body.name, each.decode()) for each in scored.ids)
            database.executemany("INSERT INTO seen VALUES (?,?,?)", seen)
        return {"name": body.name, "search": body.search, **promise(len(scored.scores), crops, rate)}

    def all(self, actor: Actor, hosted: Hosted) -> list[dict[str, Any]]:
        """One's own watches; all of them for the account that runs the server."""
        found = []
        for row in self._own(actor, hosted):
            told = {key: row[key] for key in ("name", "search", "webhook", "made")}
            why = self._why_stopped(hosted, row)
            told |= {"false_alarms_a_day": row["rate"], "stopped": why is not None, "why_stopped": why}
            found.append({**told, **promise(row["background"], row["crops"], row["rate"])})
        return found

    def delete(self, actor: Actor, hosted: Hosted, watch: str) -> None:
        """Ask no more, and forget what was found."""
        self._own(actor, hosted, watch)
        record_event(hosted.path, "watch deleted", name=watch)
        with self._database.opened() as database:
            for table in ("watches", "background", "models", "seen", "alarms"):
                database.execute(f"DELETE FROM {table} WHERE gallery = ? AND name = ?", (hosted.name, watch))

    def alarms(self, actor: Actor, hosted: Hosted, watch: str, after: int = 0) -> list[dict[str, Any]]:
        """What a watch found after the alarm of a number; a crop that was erased, or may not be seen, is left out."""
        self._own(actor, hosted, watch)
        found = self._database.read(
            "SELECT number, crop, at, p, score FROM alarms WHERE gallery = ? AND name = ? AND number > ? "
            "ORDER BY number LIMIT 1000",
            (hosted.name, watch, after),
        )
        told = []
        for alarm, row in zip(found, hosted.found([each["crop"] for each in found]), strict=True):
            if row is not None and actor.sees(row.metadata.camera):
                told.append({**alarm, "crop": told_row(row)})
        return told

    def look(self) -> int:
        """Ask every watch of the crops that are new; how many alarms there were."""
        with self._looking:
            galleries = self._service.galleries.values()
            return sum(self._look(hosted, row) for hosted in galleries for row in self._rows(hosted.name))

    def send(self) -> None:
        """Send alarms that have not arrived, signed in the header `Pickout-Signature`; what fails is tried again."""
        import hmac

        import httpx2

        # So many for each address: one that does not answer holds up no other, and is asked once.
        place = "ROW_NUMBER() OVER (PARTITION BY webhook ORDER BY number) AS place"
        unsent = self._database.read(
            "SELECT number AS alarm, webhook, gallery, name AS watch, crop, at, p FROM "
            f"(SELECT *, {place} FROM alarms WHERE webhook IS NOT NULL AND sent IS NULL) WHERE place <= ?",
            (_SENT,),
        )
        silent = set[str]()
        for told in unsent:
            address, body = told.pop("webhook"), json.dumps(told).encode()  # shows nobody
            if address in silent:
                continue
            signature = hmac.digest(self._service.webhook_secret().encode(), body, "sha256").hex()
            headers = {"Content-Type": "application/json", "Pickout-Signature": f"sha256={signature}"}
            try:
                answer = httpx2.post(address, content=body, headers=headers, timeout=5, follow_redirects=False)
            except httpx2.HTTPError:
                silent.add(address)
                continue
            if answer.is_success:
                self._database.write("UPDATE alarms SET sent = ? WHERE number = ?", (now(), told["alarm"]))

    def _forget(self, ids: Sequence[str]) -> None:
        """Erased crops."""
        with self._database.opened() as database:
            for table in ("seen", "alarms"):
                database.executemany(f"DELETE FROM {table} WHERE crop = ?", ((each,) for each in ids))

    def _look(self, hosted: Hosted, row: dict[str, Any]) -> int:
        owner = self._owner(row)
        if owner is None or self._why_stopped(hosted, row) is not None:
            return 0
        key, read = (hosted.name, row["name"]), self._database.read
        seen = {each["crop"] for each in read("SELECT crop FROM seen WHERE gallery = ? AND name = ?", key)}
        try:
            scored = hosted.turns.ask(lambda gallery: self._scored(owner, hosted, gallery, row["search"]))
        except PickoutError:  # no crop passes its filters now; one that comes may
            self._forget([*seen - hosted.turns.ask(lambda gallery: gallery.present(seen))])  # by another process
            return 0
        scores = dict(zip((each.decode() for each in scored.ids), scored.scores, strict=True))
        fresh, gone = [each for each in scores if each not in seen], seen - scores.keys()
        background = read("SELECT scores FROM background WHERE gallery = ? AND name = ?", key)[0]["scores"]
        p = p_values(np.array([scores[each] for each in fresh], np.float32), np.frombuffer(background, "<f4"))
        found = {each: float(p_) for each, p_ in zip(fresh, p, strict=True) if p_ <= row["rate"] / row["crops"]}
        if found:
            with acting(Acting(self._service.who(owner), "watch", row["purpose"])):
                record_event(hosted.path, "alarm", list(found), watch=row["name"])
        with self._database.opened() as database:
            database.executemany("INSERT INTO seen VALUES (?,?,?)", ((*key, each) for each in fresh))
            for table in ("seen", "alarms"):  # what is gone from the gallery is forgotten here, too
                statement = f"DELETE FROM {table} WHERE gallery = ? AND name = ? AND crop = ?"
                database.executemany(statement, ((*key, each) for each in gone))
            database.executemany(
                "INSERT OR IGNORE INTO alarms (gallery, name, crop, at, p, score, webhook) VALUES (?,?,?,?,?,?,?)",
                ((*key, each, now(), p_, float(scores[each]), row["webhook"]) for each, p_ in found.items()),
            )
        return len(found)

    def _scored(self, actor: Actor, hosted: Hosted, gallery: Gallery, search: str) -> Scored:
        query, where, _ = self._service.saved_parts(actor, hosted, search)
        return gallery.scores(query, where=limited(actor, where, gallery))

    def _why_stopped(self, hosted: Hosted, row: dict[str, Any]) -> str | None:
        """Why a watch asks no more; None where it does."""
        owner = self._owner(row)
        if owner is None:
            return "the token that made it is not valid any more"
        try:
            permit(owner, Action.WATCH, hosted.name)
            self._service.saved_parts(owner, hosted, row["search"])
            saved = hosted.open().saved.get(row["search"]).saved
        except NotThere:
            return f"the saved search '{row['search']}' is gone; delete the watch, or save the search and make it again"
        except PickoutError as error:
            return str(error)
        if row["fingerprint"] not in (None, hosted.open().manifest.model.fingerprint):
            return (
                "the gallery has another model since, whose scores do not compare; delete the watch and make it again"
            )
        made = datetime.fromisoformat(row["made"])
        return None if saved <= made else f"'{row['search']}' was saved anew since; delete the watch and make it again"

    def _owner(self, row: dict[str, Any]) -> Actor | None:
        """Whose watch it is; None where his token is not valid any more."""
        tokens = {token.id: token.actor() for token in self._service.tokens.all() if token.is_valid}
        return OWNER if row["token"] is None else tokens.get(row["token"])

    def _own(self, actor: Actor, hosted: Hosted, watch: str | None = None) -> list[dict[str, Any]]:
        """Somebody's watches, or the one of this name."""
        rows = [row for row in self._rows(hosted.name) if actor.token in (None, row["token"])]
        rows = [row for row in rows if watch in (None, row["name"])]
        if watch is not None and not rows:
            raise NotThere("no watch of this name")
        return rows

    def _rows(self, gallery: str) -> list[dict[str, Any]]:
        return self._database.read(
            "SELECT watches.*, length(scores) / 4 AS background, fingerprint FROM watches "
            "JOIN background USING (gallery, name) LEFT JOIN models USING (gallery, name) "
            "WHERE gallery = ? ORDER BY name",
            (gallery,),
        )


def promise(background: int, crops_a_day: float, rate: float) -> dict[str, Any]:
    """What a watch can promise that is held against so many crops; in words where that is nothing."""
    least = crops_a_day / (1 + background)
    told = f"too few crops are known to promise less than {least:.3g} false alarms a day; the watch fires for none"
    kept = rate / crops_a_day >= 1 / (1 + background)
    note = None if kept else told
    return {"promised": kept, "least_false_alarms_a_day": least, "crops_a_day": crops_a_day, "note": note}


def p_values(scores: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float64]:
    """The share of the background, and of the crop itself, whose score is at least a crop's (n,)."""
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


def _crops_a_day(scored: Scored) -> float:
    """How many crops pass on a day, over the days that those with a time cover."""
    times = scored.times[~np.isnat(scored.times)]
    if len(times) < 2 or times.min() == times.max():
        raise UsageError("these crops' times tell no rate; say how many new crops a day there will be (crops_a_day)")
    days = max(float((times.max() - times.min()) / np.timedelta64(1, "D")), 1 / 24)
    return len(times) / days
