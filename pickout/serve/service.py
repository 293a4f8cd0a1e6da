"""What a client can ask of a server's galleries: searches, crops, explanations. Knows no HTTP."""

import logging
import re
import secrets
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pickout.errors import NotThere, PickoutError, UsageError
from pickout.files import atomic_path
from pickout.gallery.audit.heads import sign_head
from pickout.gallery.audit.log import Acting, acting, record_event, user_name
from pickout.gallery.changes.edits import Change
from pickout.gallery.changes.retention import Due
from pickout.gallery.encoder import Encoder
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.filters import ANYWHERE, Where
from pickout.gallery.search.query import Query
from pickout.gallery.search.ranking import Asked, Grouping, SearchSettings
from pickout.gallery.search.search import Answer
from pickout.gallery.search.sentence_filters import Parse, read_filters
from pickout.gallery.storage.rows import LABEL
from pickout.serve.access import Action, Actor, Tokens, no_gallery, permit
from pickout.serve.blurring import blurred_jpeg
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Jobs
from pickout.serve.recordings import Recordings
from pickout.serve.requests import SaveBody, SearchBody
from pickout.serve.settings import Policy, PolicyBlocked, ServeSettings
from pickout.serve.uploads import QueryPictures, Uploads

_log = logging.getLogger(__name__)
Tell = Callable[[Answer], dict[str, Any]]
_SHOWN_VALUES = 1000  # values of one facet that a gallery's description lists at most, the most frequent first


class Service:
    """The galleries of a server."""

    def __init__(
        self,
        galleries: Mapping[str, Hosted],
        state: Path,
        settings: ServeSettings,
        load: Callable[[str], Encoder],
        via: str = "server",
    ) -> None:
        self.galleries, self.state, self.settings, self.load, self.via = galleries, state, settings, load, via
        self.tokens = Tokens(state, settings.failures)
        self.policy = Policy(settings.policy)
        self.jobs = Jobs(settings.jobs)
        self.pictures = QueryPictures()
        self.explained: dict[tuple[object, ...], dict[str, Any]] = {}  # until a crop is erased
        self.on_erasing: list[Callable[[Sequence[str]], None]] = [lambda _: self.explained.clear()]

    def uploads(self, hosted: Hosted) -> Uploads:
        """Where a gallery's uploaded pictures lie."""
        return Uploads((self.state / "uploads" / hosted.name).resolve())

    def recordings(self, hosted: Hosted) -> Recordings:
        """The recordings that were sent for a gallery."""
        folder = (self.state / "recordings" / hosted.name).resolve()
        return Recordings(folder, self.uploads(hosted).folder, hosted)

    def erase(self, hosted: Hosted, ids: Sequence[str]) -> Change:
        """Erase crops that nothing stands against, and their pictures where they were uploaded."""
        opened, files = hosted.open(), [row.file for row in hosted.rows(ids).values()]

        def delete_pictures() -> None:
            record_event(hosted.path, "erasing", crops=len(ids))  # no picture is deleted without a record
            self.uploads(hosted).delete(files)

        change = opened.erase(ids, first=delete_pictures)
        for forget in self.on_erasing:
            forget(ids)
        hosted.refresh()
        return change

    def enforce(self, hosted: Hosted) -> Due:
        """Erase what is due by the rules of retention."""
        due = hosted.turns.ask(lambda gallery: gallery.retention.due())
        if due.erase:
            record_event(hosted.path, "retention enforced", rows=len(due.erase), held=due.held)
            self.erase(hosted, due.erase)
        return due

    def tend(self, *, erase: bool = True) -> None:
        """What a server does from time to time: erase what is due, and note a signed head of each log beside it."""
        for hosted in self.galleries.values():
            expire = partial(self.recordings(hosted).expire, self.settings.recording_days, self.jobs.busy)
            for what in (partial(self.enforce, hosted), expire, partial(sign_head, hosted.path))[0 if erase else 2 :]:
                try:
                    what()
                except (PickoutError, OSError) as error:
                    _log.error("%s", error)

    def told(self, error: Exception) -> str:
        """An error in words that a client may read: without paths of this machine."""
        if not isinstance(error, PickoutError):
            return "something went wrong in the server; its log tells what"
        return self.clean(str(error))

    def clean(self, words: str) -> str:
        """Words without paths of this machine."""
        for hosted in self.galleries.values():
            words = words.replace(str(hosted.path), hosted.name)
        words = words.replace(str(self.state), "the server's folder")
        return re.sub(r"(?<![\w.])/(?:[^\s/:;,'()]+/)+", "", words)

    def webhook_secret(self) -> str:
        """With what alarms are signed, so that their receiver knows where they come from; made where there is none."""
        file = self.state / "webhook.secret"
        if not file.exists():
            with atomic_path(file, private=True) as temporary:
                temporary.write_text(secrets.token_urlsafe(32))
        return file.read_text().strip()

    def gallery(self, actor: Actor, action: Action, name: str) -> Hosted:
        """The gallery of this name."""
        permit(actor, action, name)
        if name not in self.galleries:
            raise no_gallery(name)
        return self.galleries[name]

    def acting(self, actor: Actor, purpose: str | None, *, needed: bool = True) -> Acting:
        """For whom and what for something is done, as the audit tells it; where no purpose is `needed`, unchecked."""
        allowed = self.settings.purposes if needed else ()
        if allowed and (not purpose or ("*" not in allowed and purpose not in allowed)):
            known = "any words" if "*" in allowed else ", ".join(allowed)
            raise UsageError(f"a purpose is needed, in the header Pickout-Purpose or as ?purpose=...: {known}")
        if needed and purpose is not None and (len(purpose) > 200 or not purpose.isprintable()):
            raise UsageError("a purpose has at most 200 printable characters")
        return Acting(self.who(actor), self.via, purpose)

    @staticmethod
    def who(actor: Actor) -> str:
        """How the audit calls somebody."""
        return user_name() if actor.token is None else f"token {actor.token} ({actor.name})"

    def visible(self, actor: Actor) -> list[str]:
        """Names of the galleries that somebody may see."""
        return sorted(name for name in self.galleries if actor.galleries is None or name in actor.galleries)

    def describe(self, actor: Actor, hosted: Hosted) -> dict[str, Any]:
        """What a gallery holds, as far as somebody may see it, with how many crops have each value."""

        def told(gallery: Gallery) -> dict[str, Any]:
            try:
                where = limited(actor, ANYWHERE, gallery)
            except NotThere:
                return {"crops": 0, "values": {}}
            counts = gallery.counts(where)  # by name, and so stay equal ones
            crops = gallery.count() if where == ANYWHERE else sum(counts["camera"].values())
            values = {what: dict(Counter(each).most_common(_SHOWN_VALUES)) for what, each in counts.items()}
            return {"crops": crops, "values": values}

        model = hosted.open().manifest.model
        about = {"gallery": hosted.name, "model": model.name, "fingerprint": model.fingerprint}
        return {**about, "purposes": list(self.settings.purposes), **hosted.turns.ask(told)}

    def search(self, actor: Actor, hosted: Hosted, body: SearchBody, who: Acting) -> "tuple[Future[Answer], Tell]":
        """A search, once its turn comes, and what tells its answer to a client. All about it is checked in its turn."""
        parse, notes = None, list[str]()
        if body.thumbnails:
            permit(actor, Action.IMAGE, hosted.name)

        def make(gallery: Gallery) -> Asked:
            nonlocal parse
            query, where, grouping, parse = self._parts(actor, hosted, gallery, body)
            with acting(who):
                try:
                    judged = self.policy.judge([*query.texts, *query.without])
                except PolicyBlocked as error:
                    record_event(hosted.path, "search blocked", rule=error.rule, sentence=query.words())
                    raise
                if judged:
                    record_event(hosted.path, "policy", rules=[rule.name for rule in judged])
            notes.extend(rule.why for rule in judged if rule.action == "warn")
            notes.extend(parse.notes() if parse else ())
            where = limited(actor, where, gallery)
            query = gallery.check(query, top=body.top, page=body.page, where=where)
            settings = SearchSettings(error=body.error)
            return Asked(query, where, body.top, body.page, grouping, settings)

        def tell(given: Answer) -> dict[str, Any]:
            told, hits = given.as_json(), [hit.as_json() for hit in given.hits]
            for hit, row in zip(hits, given.hits, strict=True):
                del hit["file"], hit["path"]  # of the server
                if body.thumbnails:
                    shown = blurred_jpeg(row.thumbnail) if actor.blurred else row.thumbnail
                    hit["thumbnail"] = b64encode(shown).decode()
            told["notes"] = [*notes, *told["notes"]]
            return {**told, "parse": parse and parse.as_json(), "candidates": hits}

        return hosted.turns.search(make, who), tell

    def saved(self, actor: Actor, hosted: Hosted) -> list[dict[str, Any]]:
        """The saved searches that somebody may run."""
        found = []
        for each in hosted.open().saved.all():
            query, where, group = each.parts()
            if self._may_run(actor, hosted, query, where):
                told = {"name": each.name, "query": query.as_json(), "where": where.as_json(), "group": group.value}
                found.append({**told, "saved": each.saved.isoformat(), "user": each.user})
        return found

    def save(self, actor: Actor, hosted: Hosted, body: SaveBody) -> None:
        """Keep a search under a name."""
        if body.pictures or body.saved:
            raise UsageError("a search with uploaded pictures, or a saved one, cannot be saved")

        def check(gallery: Gallery) -> tuple[Query, Where, Grouping]:
            query, where, group, _ = self._parts(actor, hosted, gallery, body)
            self.policy.judge([*query.texts, *query.without])
            limited(actor, where, gallery)
            return query, where, group

        query, where, group = hosted.turns.ask(check)
        record_event(hosted.path, "search saved", name=body.name, sentence=query.words())
        hosted.open().saved.save(body.name, query, where, group)

    def saved_parts(self, actor: Actor, hosted: Hosted, label: str) -> tuple[Query, Where, Grouping]:
        """A saved search that somebody may run."""
        with suppress(UsageError):
            query, where, group = hosted.open().saved.get(label).parts()
            if self._may_run(actor, hosted, query, where):
                return query, where, group
        raise NotThere("no saved search of this name")

    def _may_run(self, actor: Actor, hosted: Hosted, query: Query, where: Where) -> bool:
        if actor.cameras is None:
            return True
        try:
            permit(actor, Action.SEARCH, hosted.name, hosted.found([*query.more_like, *query.less_like]))
        except PickoutError:
            return False
        return not query.images and {*where.cameras, *where.not_cameras} <= actor.cameras

    def _parts(
        self, actor: Actor, hosted: Hosted, gallery: Gallery, body: SearchBody
    ) -> tuple[Query, Where, Grouping, Parse | None]:
        if body.saved is not None:
            if body.sentences or body.pictures or body.without or body.more_like or body.less_like:
                raise UsageError("a saved search is run as it was kept; give no other part beside it")
            return *self.saved_parts(actor, hosted, body.saved), None
        permit(actor, Action.SEARCH, hosted.name, hosted.found([*body.more_like, *body.less_like]))
        pictures = [self.pictures.get(actor.token, each) for each in body.pictures]
        sentences, where, parse = list(body.sentences), body.where.where(), None
        if body.parse and len(sentences) == 1:
            parse = parsed(actor, gallery, sentences[0], body.now)
            sentences, where = [parse.description], parse.where.beside(where)
        return Query(sentences, pictures, body.without, body.more_like, body.less_like), where, body.group, parse


def limited(actor: Actor, where: Where, gallery: Gallery) -> Where:
    """The filters with those of the token; what it may not see is told as unknown."""
    if actor.cameras is None:
        return where
    own = actor.cameras & set(gallery.cameras())
    if not own:
        raise NotThere("no crop here that this token may see")
    values = gallery.counts(Where(cameras=own))
    for what, wanted, unwanted in where.named():
        for name in (*wanted, *unwanted):
            if name not in values.get(what, {}):
                raise UsageError(f"unknown {what.removeprefix(LABEL)} '{name}'")
    return replace(where, cameras=set(where.cameras) or own)


def parsed(actor: Actor, gallery: Gallery, sentence: str, now: datetime | None) -> Parse:
    """A sentence read for its filters; of cameras for those that somebody may see."""
    cameras = list(filter(actor.sees, gallery.cameras()))
    return read_filters(sentence, cameras, datetime.now() if now is None else now.replace(tzinfo=None))
