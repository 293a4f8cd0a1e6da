"""`pickout gallery approximate`: search a gallery that is too large to hold."""

from typing import Annotated

import typer

from pickout.cli.options import Device, GalleryPath, Json, Model, Texts, open_gallery, settings_of
from pickout.cli.terminal import progress, tell


def approximate(
    gallery: GalleryPath,
    model: Model = None,
    device: Device = "auto",
    set_: Annotated[Texts, typer.Option("--set", metavar="KEY=VALUE", help="As above=2000000.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Remove the index: search exactly again.")] = False,
    json: Json = False,
) -> None:
    """Search a gallery too large to hold in memory through an index, and measure how much that misses.

    The best crops that the index names are scored exactly. Recall is measured with drawn sentences and with crops of
    the gallery, beside an exact search, and written to approximate.json.
    """
    from pickout.cli.model import load_model, remembered_model
    from pickout.gallery.approximate.build import ApproximateSettings, check_size
    from pickout.synthetic.captions import drawn_sentences

    opened = open_gallery(gallery)
    if off:
        opened.search_exactly()
        tell({"gallery": str(gallery), "search": "exact"}, json=json)
        return
    settings = settings_of(ApproximateSettings, set_)
    check_size(gallery, opened.count(), settings)
    encoder = load_model(model or remembered_model(gallery, opened.manifest), device)
    with progress("encoding sentences", quiet=json) as show:
        sentences = drawn_sentences(settings.searches, seed=settings.seed)
        found = opened.approximate(sentences, encoder, settings=settings, tell=lambda what: show(0, None, what=what))
    told = {
        "gallery": str(gallery),
        "rows": found.rows,
        "above": found.above,
        "partitions": found.partitions,
        "probes": found.probes,
        "oversample": found.oversample,
    }
    recalls = [each.model_dump(mode="json") for each in found.recalls] if json else [r.told() for r in found.recalls]
    tell({**told, "recalls": recalls}, json=json)
    for warning in found.warnings():
        typer.echo(f"Note: {warning}", err=True)
