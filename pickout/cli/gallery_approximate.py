"""`pickout gallery approximate`: search a gallery that is too large to hold."""

import sys
from typing import Annotated

import typer

from pickout.cli.gallery_options import GalleryPath, Json, open_gallery, tell


def approximate(
    gallery: GalleryPath,
    model: Annotated[str | None, typer.Option(help="Where the gallery's model is, if it is not where it was.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As above=2000000.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Remove the index: search exactly again.")] = False,
    json: Json = False,
) -> None:
    """Search a gallery too large to hold in memory through an index, and measure how much that misses.

    The best crops that the index names are scored exactly. Recall is measured with drawn sentences and with crops of
    the gallery, beside an exact search, and written to approximate.json.
    """
    from rich.console import Console

    from pickout.cli.model import load_model, remembered_model
    from pickout.config import apply_overrides, parse_settings
    from pickout.gallery.approximate.build import ApproximateSettings, check_size
    from pickout.synthetic.descriptions import drawn_sentences

    opened = open_gallery(gallery)
    if off:
        opened.search_exactly()
        tell({"gallery": str(gallery), "search": "exact"}, json=json)
        return
    settings = parse_settings(ApproximateSettings, apply_overrides({}, set_ or []), source="--set")
    check_size(gallery, opened.count(), settings)
    encoder = load_model(model or remembered_model(gallery, opened.manifest), device)
    with Console(file=sys.stderr, quiet=json).status("encoding sentences") as status:
        sentences = drawn_sentences(settings.searches, seed=settings.seed)
        found = opened.approximate(sentences, encoder, settings=settings, tell=lambda what: status.update(what))
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
