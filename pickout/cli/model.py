"""The gallery, the model and the data set that a command means."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pickout.cli.terminal import progress, say
from pickout.errors import GalleryError, ImageUnreadable, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from pickout.checkpoints.loaded_model import LoadedModel as LoadedModel
    from pickout.cli.options import Engine
    from pickout.data.data_set import DataSet, Split
    from pickout.export.exported_images import Runtime
    from pickout.gallery.encoder import Encoder
    from pickout.gallery.storage.tables import Manifest


def load_model(model: str, device: str, runtime: "Runtime" = "torch") -> "LoadedModel":
    """Load a run folder, a weight file or weights by name onto `device`, its images computed by `runtime`; what is not
    here yet is fetched once."""
    from pickout.checkpoints.named_weights import NAMED_WEIGHTS, fetch_named, fetched
    from pickout.checkpoints.source import load
    from pickout.export.exported_images import with_runtime

    if model in NAMED_WEIGHTS and not Path(model).exists() and fetched(model) is None:
        about = NAMED_WEIGHTS[model]
        note = f"; {about.note}" if about.note else ""
        say(f"fetching {model} once from the hub (licence {about.licence}{note})", err=True)
        fetch_named(model, progress=True)
    return with_runtime(load(model, device=device), runtime)


def has_cluster(engine: "Engine", workers: int | None) -> bool:
    """Whether a Ray cluster does the work, which is joined or begun now. `UsageError` where it cannot, or `workers` are
    told for nothing."""
    if engine == "local":
        if workers is not None:
            raise UsageError(f"--workers {workers}: one process does the work; they are for --engine ray")
        return False
    if find_spec("ray") is None:
        raise UsageError("--engine ray needs one more package: pip install 'pickout[ray]'")
    from pickout.cluster.workers import connect

    connect()
    return True


def load_encoder(model: str, device: str, runtime: "Runtime") -> "Encoder":
    """What a search asks: a model as `load_model` gives it, or the one in the package without PyTorch, which takes
    longer to import than such a search."""
    from pickout.checkpoints.sentence_encoder import DEFAULT, SentenceEncoder

    if model == DEFAULT and device in ("auto", "cpu") and runtime == "torch" and SentenceEncoder.is_whole():
        return SentenceEncoder()
    return load_model(model, device, runtime)


def default_model() -> str:
    """The name of the model that comes with the package; says that it is taken."""
    from pickout.checkpoints.sentence_encoder import DEFAULT

    say(f"no model named: {DEFAULT}, the one in the package, taught by drawn people (docs/default-model.md)", err=True)
    return DEFAULT


def remembered_model(gallery: Path, manifest: "Manifest") -> str:
    """Where the gallery's model was loaded from; `GalleryError` if it does not say, or the place is empty now."""
    run = manifest.model.run
    if run is None:
        raise GalleryError(f"{gallery}: does not say where its model ({manifest.model.name}) is; pass --model RUN")
    if Path(run).is_absolute() and not Path(run).exists():
        raise GalleryError(f"{gallery}: its model was at {run}, nothing is there now; pass --model RUN")
    return run


def remember(model: str) -> str:
    """`model` as a gallery should remember it: an existing path as an absolute one."""
    return str(Path(model).resolve()) if Path(model).exists() else model


def open_run_data(
    model: str, home: Path | None, data: str | None, root: Path | None, *, speaks: bool = True
) -> "DataSet":
    """The data set as named, else the one that the run in `home` was trained on; says what its reader assumed.
    `UsageError`: neither the user nor the run names a data set, or there is none of that name; `DataError`: it cannot
    be used."""
    from pickout.data.registry import open_data
    from pickout.evaluate.evaluation_report import read_training

    training = read_training(home)
    name = data or training.data
    if name is None:
        raise UsageError(f"{model} does not say what it was trained on; name the data set and its folder: DATA ROOT")
    own = training.root if name == training.data else None
    found = open_data(name, root or own or Path("data"))
    for note in found.notes if speaks else ():
        say(f"note: {found.root}: {note}", err=True)
    return found


def readable(files: Iterable[Path]) -> "Iterator[tuple[Path, Image]]":
    """The pictures that can be read; says which are left out."""
    from pickout.data.images import open_image

    for file in files:
        try:
            yield file, open_image(file)
        except ImageUnreadable as error:
            say(f"left out: {error}", err=True)


def split_of(data: "DataSet", name: str) -> "Split":
    """The split of that name; `UsageError` names those there are."""
    if name not in data.splits:
        raise UsageError(f"{data.name} has no split '{name}'; it has {', '.join(data.splits)}")
    return data.splits[name]


@contextmanager
def drawn_people(*, quiet: bool) -> Iterator["DataSet"]:
    """People that the shipped model has never seen, as bad cameras would show them, for as long as they are needed."""
    from pickout.data.registry import open_data
    from pickout.synthetic.street import draw_strangers

    with TemporaryDirectory() as folder:
        with progress("drawing", quiet=quiet, stays=True) as show:
            drawn = draw_strangers(Path(folder), show)
        yield open_data("street", drawn)
