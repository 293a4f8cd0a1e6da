"""Routes of a gallery as a whole: how it is, what keeps it well, and the plan of its site with the cameras on it."""

import io
import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, Response, UploadFile
from PIL import Image

from pickout.data.registry import open_data
from pickout.errors import NotThere, UsageError
from pickout.files import atomic_path, write_atomically
from pickout.gallery.approximate.build import check_size
from pickout.gallery.audit.log import record_event
from pickout.gallery.changes.verification import verify as faults_of
from pickout.gallery.gallery import Gallery
from pickout.serve import answers
from pickout.serve.access import Action
from pickout.serve.calling import Called, Caller, Work, long, on, raw, read_upload, stream
from pickout.serve.hosting import Hosted
from pickout.serve.jobs import Tell
from pickout.serve.requests import ApproximateBody, CalibrateBody, RebuildBody, SiteBody
from pickout.serve.uploads import suffix_of, told_steps
from pickout.synthetic.captions import drawn_sentences
from pickout.synthetic.street import draw_strangers

router = APIRouter(prefix="/galleries/{gallery}", tags=["upkeep"])
plans = APIRouter(prefix="/galleries/{gallery}/site", tags=["site"])
Seen = Annotated[Hosted, on(Action.SEARCH, purpose=False)]
Managed = Annotated[Hosted, on(Action.MANAGE, purpose=False)]
_LONGEST = 2400  # pixels of a plan's longer side that are kept
Managing = Annotated[Work, long(Action.MANAGE)]
_TOLD = 1000  # faults, and files that could not be indexed, that one answer lists at most


@router.get("/state", response_model=answers.State)
def state(hosted: Managed) -> dict[str, Any]:
    """How a gallery is kept: its format, size, model and way of searching, what could not be indexed, what is begun."""
    opened = hosted.open()
    told = opened.about()
    for each in (told, told["rebuild"] or {}):
        each.pop("run", None)  # a path of the server
    bad = [{"file": each.file.name, "reason": each.reason} for each in opened.quarantined()[:_TOLD]]
    return {**told, "quarantine": bad}


@router.post("/verify", **stream(answers.Verified))
def verify(
    work: Annotated[Work, long(Action.MANAGE, purpose=False)],
    files: Annotated[bool, Query(description="Also read the crops: name those gone or changed.")] = False,
) -> Response:
    """Read everything in a gallery and name what is wrong."""

    def read(tell: Tell) -> dict[str, Any]:
        steps, clean = told_steps(tell), work.called.parts.service.clean
        found = list(faults_of(work.hosted.path, files=files, on_progress=lambda *at: steps("reading", *at)))
        told = [(each.file.name, each.what.replace(str(each.file), each.file.name)) for each in found[:_TOLD]]
        return {"faults": len(found), "found": [{"file": file, "what": clean(what)} for file, what in told]}

    return work.begin("verify", read)


@router.post("/approximate", **stream(answers.Searched))
def approximate(work: Managing, body: ApproximateBody) -> Response:
    """Search a gallery too large to hold by codes, and measure how much that misses; or, `off`, exactly."""
    hosted, settings = work.hosted, body.settings

    def change(tell: Tell) -> dict[str, Any]:
        opened = hosted.open()
        record_event(hosted.path, "way of searching", approximate=not body.off)
        if body.off:
            opened.search_exactly()
        else:
            check_size(hosted.path, opened.count(), settings.above)
            sentences = drawn_sentences(settings.searches, seed=settings.seed)
            opened.approximate(sentences, settings=settings, tell=told_steps(tell))
        return {"search": opened.how_searched()}

    return work.begin("approximate", change)


@router.post("/compact", **stream(answers.Compacted))
def compact(work: Managing) -> Response:
    """Merge the small pieces on disk that many changes leave; one process at a time."""
    return work.begin("compact", lambda _: {"compacted": work.hosted.compact()})


@router.post("/calibrate", **stream(answers.Calibrated))
def calibrate(work: Managing, body: CalibrateBody) -> Response:
    """Fit the probability that a candidate is a match, on people of a data set on the server, or on drawn ones."""
    if (body.data is None) != (body.folder is None):
        raise UsageError("name a data set and its folder, or neither: then people are drawn")
    folder = None if body.folder is None else work.called.folder(body.folder)

    def fit(tell: Tell) -> dict[str, Any]:
        steps = told_steps(tell)
        with TemporaryDirectory() as own:
            place = folder or draw_strangers(Path(own), lambda *at: steps("drawing", *at))
            splits = open_data(body.data or "street", place).splits
            if body.split not in splits:
                raise UsageError(f"{body.data or 'street'} has no split '{body.split}'; it has {', '.join(splits)}")
            record_event(work.hosted.path, "calibrated", data=body.data, split=body.split)
            found = work.hosted.open().calibrate(splits[body.split], settings=body.settings, tell=steps)
        return {"check": found.check.model_dump(mode="json", exclude={"bins"}), "doubts": list(found.warnings())}

    return work.begin("calibrate", fit)


@router.post("/rebuild", **stream(answers.Rebuilt))
def rebuild(work: Managing, body: RebuildBody) -> Response:
    """Encode every crop anew with another model on the server; searches go on meanwhile."""
    hosted = work.hosted
    model, how = str(work.called.folder(body.model)), body.model_dump(exclude={"model"})

    def encode(tell: Tell) -> dict[str, Any]:
        encoder, opened = work.called.parts.service.load(model), Gallery.open(hosted.path)
        report = opened.rebuild(encoder, run=model, on_progress=lambda at: tell(asdict(at)), **how)
        hosted.rebuilt()
        return report.as_json()

    return work.begin("rebuild", encode)


@plans.get("", response_model=answers.Site)
def site(called: Called, hosted: Seen) -> dict[str, Any]:
    """Where the cameras stand, as shares of the plan's width and height, and whether there is a plan."""
    file = _folder(called, hosted) / "cameras.json"
    cameras = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    shown = {name: place for name, place in cameras.items() if called.actor.sees(name)}
    return {"cameras": shown, "image": (file.parent / "plan.jpg").exists()}


@plans.put("", status_code=204)
def place_cameras(called: Called, hosted: Managed, body: SiteBody) -> None:
    """Say where the cameras stand. Recorded."""
    record_event(hosted.path, "site changed", cameras=len(body.cameras))
    write_atomically(_folder(called, hosted) / "cameras.json", json.dumps(body.cameras))


@plans.get("/image", **raw("the plan", "image/jpeg"))
def plan(called: Called, hosted: Seen) -> Response:
    """The plan of the site."""
    file = _folder(called, hosted) / "plan.jpg"
    if not file.exists():
        raise NotThere("no plan of the site")
    return Response(file.read_bytes(), media_type="image/jpeg")


@plans.put("/image", status_code=204)
def keep_plan(called: Called, hosted: Managed, file: Annotated[UploadFile, File(description="A picture.")]) -> None:
    """Give a plan of the site, in place of the one before. Recorded."""
    content = read_upload(called, file)
    suffix_of(content)  # decoded whole, and refused where it is no picture
    record_event(hosted.path, "site changed", plan=True)
    with Image.open(io.BytesIO(content)) as picture, atomic_path(_folder(called, hosted) / "plan.jpg") as temporary:
        kept = picture.convert("RGB")
        kept.thumbnail((_LONGEST, _LONGEST))
        kept.save(temporary, "JPEG", quality=85)


def _folder(called: Caller, hosted: Hosted) -> Path:
    folder = called.parts.service.state / "sites" / hosted.name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
