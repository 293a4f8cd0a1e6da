"""Routes of a plan of the site with its cameras on it."""

import io
import json
from typing import Annotated, Any

from fastapi import APIRouter, File, Response, UploadFile
from PIL import Image

from pickout.errors import NotThere
from pickout.files import atomic_path, write_atomically
from pickout.gallery.audit.log import acting, record_event
from pickout.serve.access import Action
from pickout.serve.calling import Called, Caller, read_upload
from pickout.serve.case_requests import Site, SiteBody
from pickout.serve.uploads import suffix_of

router = APIRouter(tags=["site"])
_LONGEST = 2400
"""Pixels of a plan's longer side that are kept."""


@router.get("/galleries/{gallery}/site", response_model=Site)
def site(called: Called, gallery: str) -> dict[str, Any]:
    """Where the cameras stand, as shares of the plan's width and height, and whether there is a plan."""
    called.gallery(Action.SEARCH, gallery)
    file, seen = _folder(called, gallery) / "cameras.json", called.actor.cameras
    cameras = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    shown = {name: place for name, place in cameras.items() if seen is None or name in seen}
    return {"cameras": shown, "image": (file.parent / "plan.jpg").exists()}


@router.put("/galleries/{gallery}/site", status_code=204)
def place_cameras(called: Called, gallery: str, body: SiteBody) -> None:
    """Say where the cameras stand. Recorded."""
    hosted = called.gallery(Action.MANAGE, gallery)
    with acting(called.who_without_purpose):
        record_event(hosted.path, "site changed", cameras=len(body.cameras))
    write_atomically(_folder(called, gallery) / "cameras.json", json.dumps(body.cameras))


@router.get(
    "/galleries/{gallery}/site/image",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "the plan"}},
)
def plan(called: Called, gallery: str) -> Response:
    """The plan of the site."""
    called.gallery(Action.SEARCH, gallery)
    file = _folder(called, gallery) / "plan.jpg"
    if not file.exists():
        raise NotThere("no plan of the site")
    return Response(file.read_bytes(), media_type="image/jpeg")


@router.put("/galleries/{gallery}/site/image", status_code=204)
def keep_plan(called: Called, gallery: str, file: Annotated[UploadFile, File(description="A picture.")]) -> None:
    """Give a plan of the site, in place of the one before. Recorded."""
    hosted = called.gallery(Action.MANAGE, gallery)
    content = read_upload(called, file)
    suffix_of(content)  # decoded whole, and refused where it is no picture
    with acting(called.who_without_purpose):
        record_event(hosted.path, "site changed", plan=True)
    with Image.open(io.BytesIO(content)) as picture, atomic_path(_folder(called, gallery) / "plan.jpg") as temporary:
        kept = picture.convert("RGB")
        kept.thumbnail((_LONGEST, _LONGEST))
        kept.save(temporary, "JPEG", quality=85)


def _folder(called: Caller, gallery: str) -> Any:
    folder = called.parts.service.state / "sites" / gallery
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
