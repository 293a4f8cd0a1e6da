"""Routes of what is done to a gallery as a whole: how it is, and what keeps it well."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from pickout.data.registry import open_data
from pickout.errors import UsageError
from pickout.gallery.approximate.build import check_size
from pickout.gallery.audit.log import acting, record_event
from pickout.gallery.changes.verification import verify as faults_of
from pickout.gallery.gallery import Gallery
from pickout.serve import answers
from pickout.serve.access import Action
from pickout.serve.calling import Called, Follow, followed, stream
from pickout.serve.jobs import Tell
from pickout.serve.requests import ApproximateBody, CalibrateBody, RebuildBody
from pickout.serve.uploads import told_steps
from pickout.synthetic.captions import drawn_sentences
from pickout.synthetic.street import draw_strangers

router = APIRouter(tags=["upkeep"])
_TOLD = 1000
"""Faults, and files that could not be indexed, that one answer lists at most."""


@router.get("/galleries/{gallery}/state", response_model=answers.State)
def state(called: Called, gallery: str) -> dict[str, Any]:
    """How a gallery is kept: its format, size, model and way of searching, what could not be indexed, what is begun."""
    opened = called.gallery(Action.MANAGE, gallery).open()
    told = opened.about()
    for each in (told, told["rebuild"] or {}):
        each.pop("run", None)  # a path of the server
    bad = [{"file": each.file.name, "reason": each.reason} for each in opened.quarantined()[:_TOLD]]
    return {**told, "quarantine": bad}


@router.post("/galleries/{gallery}/verify", response_class=Response, responses=stream(answers.Verified))
def verify(
    called: Called,
    gallery: str,
    files: Annotated[bool, Query(description="Also read the crops: name those gone or changed.")] = False,
    follow: Follow = True,
) -> Response:
    """Read everything in a gallery and name what is wrong."""
    hosted = called.gallery(Action.MANAGE, gallery)

    def work(tell: Tell) -> dict[str, Any]:
        steps = told_steps(tell)
        found = list(faults_of(hosted.path, files=files, on_progress=lambda *at: steps("reading", *at)))
        clean = called.parts.service.clean
        told = [(each.file.name, each.what.replace(str(each.file), each.file.name)) for each in found[:_TOLD]]
        return {"faults": len(found), "found": [{"file": file, "what": clean(what)} for file, what in told]}

    return followed(called, hosted, "verify", work, follow)


@router.post("/galleries/{gallery}/approximate", response_class=Response, responses=stream(answers.Searched))
def approximate(called: Called, gallery: str, body: ApproximateBody, follow: Follow = True) -> Response:
    """Search a gallery too large to hold through an index, and measure how much that misses; or, `off`, exactly."""
    hosted, settings = called.gallery(Action.MANAGE, gallery), body.settings

    def work(tell: Tell) -> dict[str, Any]:
        opened = hosted.open()
        if body.off:
            opened.search_exactly()
        else:
            check_size(hosted.path, opened.count(), settings)
            sentences = drawn_sentences(settings.searches, seed=settings.seed)
            opened.approximate(sentences, settings=settings, tell=told_steps(tell))
        return {"search": opened.how_searched()}

    with acting(called.who):
        return followed(called, hosted, "approximate", work, follow)


@router.post("/galleries/{gallery}/compact", response_class=Response, responses=stream(answers.Compacted))
def compact(called: Called, gallery: str, follow: Follow = True) -> Response:
    """Merge the small pieces on disk that many changes leave; one process at a time."""
    hosted = called.gallery(Action.MANAGE, gallery)

    def work(_: Tell) -> dict[str, Any]:
        hosted.compact()
        return {"compacted": True}

    with acting(called.who):
        return followed(called, hosted, "compact", work, follow)


@router.post("/galleries/{gallery}/calibrate", response_class=Response, responses=stream(answers.Calibrated))
def calibrate(called: Called, gallery: str, body: CalibrateBody, follow: Follow = True) -> Response:
    """Fit the probability that a candidate is a match, on people of a data set on the server, or on drawn ones."""
    hosted = called.gallery(Action.MANAGE, gallery)
    if (body.data is None) != (body.folder is None):
        raise UsageError("name a data set and its folder, or neither: then people are drawn")
    folder = None if body.folder is None else called.folder(body.folder)

    def work(tell: Tell) -> dict[str, Any]:
        with ExitStack() as stack:
            place = folder or draw_strangers(
                Path(stack.enter_context(TemporaryDirectory())),
                lambda done, total: tell({"doing": "drawing", "done": done, "total": total}),
            )
            splits = open_data(body.data or "street", place).splits
            if body.split not in splits:
                raise UsageError(f"{body.data} has no split '{body.split}'; it has {', '.join(splits)}")
            record_event(hosted.path, "calibrated", data=body.data, split=body.split)
            found = hosted.open().calibrate(splits[body.split], settings=body.settings, tell=told_steps(tell))
        return {"check": found.check.model_dump(mode="json", exclude={"bins"}), "doubts": list(found.warnings())}

    with acting(called.who):
        return followed(called, hosted, "calibrate", work, follow)


@router.post("/galleries/{gallery}/rebuild", response_class=Response, responses=stream(answers.Rebuilt))
def rebuild(called: Called, gallery: str, body: RebuildBody, follow: Follow = True) -> Response:
    """Encode every crop anew with another model on the server; searches go on meanwhile."""
    hosted = called.gallery(Action.MANAGE, gallery)
    model, how = str(called.folder(body.model)), body.model_dump(exclude={"model"})

    def work(tell: Tell) -> dict[str, Any]:
        encoder = called.parts.service.load(model)
        opened = Gallery.open(hosted.path)
        report = opened.rebuild(encoder, run=model, on_progress=lambda at: tell(asdict(at)), **how)
        hosted.rebuilt()
        return report.as_json()

    with acting(called.who):
        return followed(called, hosted, "rebuild", work, follow)
