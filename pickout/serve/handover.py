"""What goes into the archive of a case: pictures, what was judged, the searches, and a page that any browser shows."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pickout.errors import ImageUnreadable, UsageError
from pickout.gallery.audit.heads import sign_head, verifier
from pickout.gallery.audit.log import Acting, record_event
from pickout.gallery.storage.rows import Row
from pickout.pages import render
from pickout.serve.access import Actor
from pickout.serve.archive import CASE, SCHEMA, write_archive
from pickout.serve.blurring import redacted_jpeg
from pickout.serve.case_requests import ArchiveBody
from pickout.serve.cases import Cases
from pickout.serve.crops import own_bytes
from pickout.serve.hosting import Hosted

_LEAVES = ("fits", "maybe")
"""Crops with these verdicts leave as pictures; of the others, who do not concern the case, only that they were seen."""
_NOTICE = "Candidates that a person judged, found by a description. They are not identifications."


def hand_over(
    cases: Cases, actor: Actor, hosted: Hosted, case: str, body: ArchiveBody, who: Acting, target: Path
) -> str:
    """Write a case's archive to a file; its SHA-256. Recorded, with commitments to the crops that leave. `UsageError`:
    originals without a reason, or by a token that sees blurred faces only."""
    if body.originals and (actor.blurred or not body.reason):
        raise UsageError("original pictures need a reason, and a token that may see them")
    told, members = cases.get(actor, hosted, case), list[tuple[str, bytes]]()
    rows = hosted.rows([each["id"] for each in told["crops"]])
    for crop in told["crops"]:
        if row := rows.get(crop["id"]):
            redaction = told["redactions"].get(crop["id"], {"head": True, "boxes": []})
            members += _pictures(crop, row, redaction, originals=body.originals, blurred=actor.blurred)
    shown = [crop["id"] for crop in told["crops"] if "picture" in crop]
    record_event(hosted.path, "case handed over", shown, case=case, originals=body.originals, reason=body.reason)
    model, queries = hosted.open().manifest.model, told.pop("queries")
    archived = {"by": who.user, "at": datetime.now(UTC).isoformat(timespec="seconds"), "purpose": who.purpose}
    about = {"schema": SCHEMA, "notice": _NOTICE, "gallery": hosted.name}
    about |= {"model": model.name, "fingerprint": model.fingerprint}
    whole = {**about, **told, "archived": {**archived, "originals": body.originals, "reason": body.reason}}
    lines = "".join(json.dumps(each) + "\n" for each in queries)
    asked = [{**each, "told": json.dumps(each["told"])} for each in queries]
    page = render("pickout.serve", "case.html", **whole, queries=asked)  # for a reader without Pickout: no script
    head = sign_head(hosted.path).text
    front = [(CASE, json.dumps(whole, indent=1).encode()), ("queries.jsonl", lines.encode())]
    front += [("audit-head.txt", head.encode()), ("case.html", page.encode())]
    with target.open("wb") as file:
        return write_archive(file, [*front, *members], hosted.path, verifier(hosted.path))


def _pictures(
    crop: dict[str, Any], row: Row, redaction: Mapping[str, Any], *, originals: bool, blurred: bool
) -> list[tuple[str, bytes]]:
    """The members that show a crop; `crop` is told their names, and the SHA-256 of the file that was indexed."""
    crop["sha256"] = row.content
    if not any(mark["verdict"] in _LEAVES for mark in crop["marks"]):
        return []
    content = row.thumbnail
    with suppress(ImageUnreadable):
        content = own_bytes(row)
    crop["picture"], crop["redaction"] = f"pictures/{row.id}.jpg", dict(redaction)
    head = blurred or bool(redaction["head"])
    found = [(crop["picture"], redacted_jpeg(content, redaction["boxes"], head=head))]
    crop["original"] = None
    if originals and content is not row.thumbnail:
        crop["original"] = f"originals/{row.id}{row.file.suffix.lower()[:6]}"
        found.append((crop["original"], content))
    return found
