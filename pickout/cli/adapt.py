"""`pickout adapt`: fit a model's normalisation to a gallery's own crops, without labels."""

from pathlib import Path
from typing import Annotated

import typer

from pickout.cli import model as loading
from pickout.cli.options import Device, GalleryPath, Json, Model, Texts, setting, settings_of
from pickout.cli.terminal import check_place, say, tell
from pickout.gallery.gallery import Gallery


def adapt(
    gallery: GalleryPath,
    out: Annotated[Path | None, typer.Option(help="The new model; by default GALLERY.adapted.safetensors.")] = None,
    set_: Annotated[Texts, setting("share=0.25")] = None,
    model: Model = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Move a model's normalisation towards a gallery's crops; gallery and old model stay as they are.

    Refused where crops that were held back do not say that it helps. Needs no labels."""
    from pickout.checkpoints.saved_model import write_bundle
    from pickout.train.adaptation import AdaptationSettings
    from pickout.train.adaptation import adapt as adapt_model

    settings = settings_of(AdaptationSettings, set_)
    check_place(out, "--out")
    opened = Gallery.open(gallery)
    place = model or loading.remembered_model(gallery, opened.manifest)
    loaded = loading.load_model(place, device)
    files = opened.files()[:: max(1, opened.count() // settings.most)]
    found = adapt_model(loaded, [picture for _, picture in loading.readable(files)], settings)
    target = out or gallery.parent / f"{gallery.name}.adapted.safetensors"
    write_bundle(found.model, target)
    if json:
        told = {"model": str(target), "fingerprint": found.model.fingerprint, "crops": found.crops}
        measured = {"before": round(found.before, 2), "after": round(found.after, 2)}
        gain = [round(each, 2) for each in found.gain]
        tell({**told, "held_back": found.held_back, **measured, "gain": gain}, json=True)
        return
    say(f"{target}: adapted to {found.crops} crops")
    risen = f"before {found.before:.1f} %, gain {found.gain[0]:+.1f} to {found.gain[1]:+.1f}"
    say(f"mean reciprocal rank of changed copies of {found.held_back} others: {found.after:.1f} % ({risen})")
    say(f"use it: pickout gallery rebuild {gallery} --model {target}")
    say(f"back:   pickout gallery rebuild {gallery} --model {place}")
