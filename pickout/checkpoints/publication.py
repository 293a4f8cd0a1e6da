"""A run of ours as a repository of a model hub, with a card that says what it is."""

import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import tomli_w

from pickout.checkpoints.hub import hub_address, hub_errors
from pickout.checkpoints.loaded_model import LoadedModel
from pickout.checkpoints.saved_model import SETTINGS_FILE, TOKENIZER_FILE, WEIGHTS_FILE, load_run
from pickout.errors import DownloadFailed, UsageError
from pickout.files import read_text

_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_LICENCE = re.compile(r"[\w.-]+", re.ASCII)
_MEASURES = ("R@1", "R@5", "R@10", "mAP")
_CARD = resources.files("pickout.checkpoints").joinpath("card.md").read_text(encoding="utf-8")


def publish(
    run: Path, repository: str, *, licence: str | None = None, public: bool = False, endpoint: str | None = None
) -> str:
    """Upload the model of a run, with a generated card, in one commit.

    The run is loaded first, so that nothing damaged is published. The repository `owner/name` is made where it is not
    there, for everybody to read if `public`; its address comes back. `licence` is the hub's name of one.

    Raises:
        CheckpointError: no whole run.
        UsageError: no name of a repository or licence.
        DownloadFailed: offline, not allowed, or refused.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    if not _NAME.fullmatch(repository) or not _LICENCE.fullmatch(licence or "none"):
        raise UsageError(f"repository '{repository}', licence '{licence}': expected OWNER/NAME and one word like mit")
    model = load_run(run)
    content = {"README.md": model_card(model, run, repository, licence).encode()}
    content |= {name: (run / name).read_bytes() for name in (SETTINGS_FILE, TOKENIZER_FILE, WEIGHTS_FILE)}
    address = hub_address(endpoint)
    api, url = HfApi(endpoint=address), f"{address}/{repository}"
    operations = [CommitOperationAdd(name, data) for name, data in content.items()]
    try:
        with hub_errors(url):
            api.create_repo(repository, private=not public, exist_ok=True)
            api.create_commit(repository, operations, commit_message=f"{model.name}, fingerprint {model.fingerprint}")
    except RuntimeError as error:
        raise DownloadFailed(f"{url}: {error}; run the same command again") from error
    return url


def model_card(model: LoadedModel, run: Path, repository: str, licence: str | None = None) -> str:
    """What a model is and what it found, in the hub's form; nothing of this machine is in it."""
    settings = model.settings
    return _CARD.format(
        licence=f"license: {licence}\n" if licence else "",
        title=" ".join(model.name.split()),
        method=settings.method,
        image=settings.image,
        vision=settings.vision,
        text=settings.text,
        parameters=sum(parameter.numel() for parameter in model.method.parameters()),
        dimension=model.dimension,
        fingerprint=model.fingerprint,
        repository=repository,
        results="".join(f"{line}\n" for line in _results(run)),
        settings=tomli_w.dumps({"method": dict(settings.method)}),
    )


def _results(run: Path) -> Iterator[str]:
    """A row for each evaluation in the run's folder."""
    rows = []
    for file in sorted((run / "evaluations").glob("*/report.json")):
        try:
            found = json.loads(read_text(file))["text_to_image"]
            rows.append(f"| {file.parent.name} | {' | '.join(f'{found[name]:.2f}' for name in _MEASURES)} |")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # A report of another version says nothing here.
    if rows:
        yield from (f"| text to image, percent | {' | '.join(_MEASURES)} |", "|---|---|---|---|---|", *rows, "")
