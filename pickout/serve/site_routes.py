"""Routes of a plan of the site with its cameras on it."""

import io
import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Response, UploadFile
from PIL import Image

from pickout.errors import NotThere
from pickout.files import atomic_path, write_atomically
from pickout.gallery.audit.log import record_event
from pickout.serve.access import Action
from pickout.serve.calling import Called, Caller, on, raw, read_upload
from pickout.serve.case_requests import Site, SiteBody
from pickout.serve.hosting import Hosted
from pickout.serve.uploads import suffix_of

router = APIRouter(prefix="/galleries/{gallery}/site", tags=["site"])
Seen = Annotated[Hosted, on(Action.SEARCH, purpose=False)]
Managed = Annotated[Hosted, on(Action.MANAGE, purpose=False)]
_LONGEST = 2400  # pixels of a plan's longer side that are kept


@router.get("", response_model=Site)
def site(called: Called, hosted: Seen) -> dict[str, Any]:
    """Where the cameras stand, as shares of the plan's width and height, and whether there is a plan."""
    file, seen = _folder(called, hosted) / "cameras.json", called.actor.cameras
    cameras = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    shown = {name: place for name, place in cameras.items() if seen is None or name in seen}
    return {"cameras": shown, "image": (file.parent / "plan.jpg").exists()}


@router.put("", status_code=204)
def place_cameras(called: Called, hosted: Managed, body: SiteBody) -> None:
    """Say where the cameras stand. Recorded."""
    record_event(hosted.path, "site changed", cameras=len(body.cameras))
    write_atomically(_folder(called, hosted) / "cameras.json", json.dumps(body.cameras))


@router.get("/image", **raw("the plan", "image/jpeg"))
def plan(called: Called, hosted: Seen) -> Response:
    """The plan of the site."""
    file = _folder(called, hosted) / "plan.jpg"
    if not file.exists():
        raise NotThere("no plan of the site")
    return Response(file.read_bytes(), media_type="image/jpeg")


@router.put("/image", status_code=204)
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
