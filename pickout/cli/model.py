"""Loading the model that a gallery needs; shared by the commands that encode."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pickout.errors import GalleryError

if TYPE_CHECKING:
    from pickout.checkpoints.loaded_model import LoadedModel
    from pickout.gallery.storage.manifest import Manifest


def load_model(model: str, device: str) -> "LoadedModel":
    """Load a run folder, a weight file or weights by name onto `device`; what is not here yet is fetched once.

    Raises:
        CheckpointError: it cannot be loaded.
        DownloadFailed: it could not be fetched.
        UsageError: the device is not there.
    """
    from pickout.checkpoints.named_weights import NAMED_WEIGHTS, fetch_named, fetched
    from pickout.checkpoints.source import load

    if model in NAMED_WEIGHTS and not Path(model).exists() and fetched(model) is None:
        about = NAMED_WEIGHTS[model]
        told = [f"licence {about.licence}", about.note] if about.note else [f"licence {about.licence}"]
        typer.echo(f"fetching {model} once from the hub ({'; '.join(told)})", err=True)
        fetch_named(model, progress=True)
    return load(model, device=device)


def default_model() -> str:
    """The name of the model that comes with the package; says that it is taken."""
    from pickout.checkpoints.source import DEFAULT

    typer.echo(f"no model named: {DEFAULT}, which comes with Pickout and learnt from drawn people (docs)", err=True)
    return DEFAULT


def remembered_model(gallery: Path, manifest: "Manifest") -> str:
    """Where the gallery's model was loaded from.

    Raises:
        GalleryError: it does not say, or the place is empty now.
    """
    run = manifest.model.run
    if run is None:
        raise GalleryError(f"{gallery}: does not say where its model ({manifest.model.name}) is; pass --model RUN")
    if Path(run).is_absolute() and not Path(run).exists():
        raise GalleryError(f"{gallery}: its model was at {run}, nothing is there now; pass --model RUN")
    return run


def remember(model: str) -> str:
    """`model` as a gallery should remember it: an existing path as an absolute one."""
    return str(Path(model).resolve()) if Path(model).exists() else model
