"""`pickout adapt`: fit a model's normalisation to a gallery's own crops, without labels."""

from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.options import Device, GalleryPath, Json, Model, Texts, settings_of


def adapt(
    gallery: GalleryPath,
    out: Annotated[
        Path | None, typer.Option(help="File of the new model; by default GALLERY.adapted.safetensors beside it.")
    ] = None,
    set_: Annotated[Texts, typer.Option("--set", metavar="KEY=VALUE", help="As share=0.25.")] = None,
    model: Model = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Move a model's normalisation towards a gallery's crops; gallery and old model stay as they are.

    Refused where crops that were held back do not say that it helps. Needs no labels.
    """
    import json as json_text

    from pickout.checkpoints.bundle import write_bundle
    from pickout.cli.model import load_model, remembered_model
    from pickout.data.images import open_image
    from pickout.errors import ImageUnreadable
    from pickout.gallery.gallery import Gallery
    from pickout.train.adaptation import AdaptationSettings
    from pickout.train.adaptation import adapt as adapt_model

    settings = settings_of(AdaptationSettings, set_)
    opened = Gallery.open(gallery)
    place = model or remembered_model(gallery, opened.manifest)
    loaded = load_model(place, device)
    crops = []
    for file in opened.files()[:: max(1, opened.count() // settings.most)]:
        try:
            crops.append(open_image(file))
        except ImageUnreadable as error:
            typer.echo(f"left out: {error}", err=True)
    found = adapt_model(loaded, crops, settings)
    target = out or gallery.parent / f"{gallery.name}.adapted.safetensors"
    write_bundle(found.model, target)
    facts = {
        "model": str(target),
        "fingerprint": found.model.fingerprint,
        "crops": found.crops,
        "held_back": found.held_back,
        "before": round(found.before, 2),
        "after": round(found.after, 2),
        "gain": [round(each, 2) for each in found.gain],
    }
    if json:
        typer.echo(json_text.dumps(facts))
        return
    typer.echo(f"{target}: adapted to {found.crops} crops")
    typer.echo(
        f"changed copies of {found.held_back} others found themselves at a mean reciprocal rank of {found.after:.1f}"
        f" % (before {found.before:.1f} %, gain {found.gain[0]:+.1f} to {found.gain[1]:+.1f})"
    )
    typer.echo(f"use it: pickout gallery rebuild {gallery} --model {target}")
    typer.echo(f"back:   pickout gallery rebuild {gallery} --model {place}")
