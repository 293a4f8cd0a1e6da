"""Does the class token's attention find the evidence from the first epochs, which ITSELF builds on (its figure 2)?

    pickout train study-itself --out runs/itself --set train.keep=6
    python benchmarks/attention_over_training.py runs/itself --out figure.png

For each checkpoint that the run kept, on people of its validation split:

* R@1 of whole images, and of images in which only the patches stay that the last layer's class token attends to most
  (a share of 0.5, 0.6 or 0.7); beside it the same share of patches at random. The paper draws the gap to whole images.
* the share of its attention that falls on the person, over the person's share of the picture (drawn people have masks);
  1 is chance. For a method whose words look at images also that of a garment's word on the garment (`looks`).

Prints JSON. One image and one caption a person, so R@1 is among as many images as people."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import pickout
from pickout.checkpoints.loaded_model import LoadedModel
from pickout.data.data_set import Split
from pickout.data.image_changes import read_parts
from pickout.data.images import open_image
from pickout.data.registry import open_data
from pickout.evaluate.evaluation_report import read_training
from pickout.evaluate.metrics import BootstrapSettings
from pickout.explain.evidence import hide_patches
from pickout.explain.faithfulness import MeasureSettings, draw_samples, measure
from pickout.explain.pair import Pair, make_pair
from pickout.pages import figure_bytes, new_figure, open_axes
from pickout.shapes import TokenBatch
from pickout.synthetic.surfaces import Part

RETAINED = (0.5, 0.6, 0.7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--words", type=int, default=20, help="people whose words' looks are measured; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a PNG file")
    given = parser.parse_args()
    model = pickout.load(given.run, precision="fp32")
    training = read_training(given.run)
    data = open_data(training.data, training.root)
    pairs, people = read_pairs(model, data.splits["val"], given.people, given.seed)
    rows = []
    for file in sorted((given.run / "checkpoints").glob("epoch-*.pt")):
        state = torch.load(file, map_location="cpu", weights_only=True)
        wanted = model.method.state_dict()
        model.method.load_state_dict({key: state["method"][key] for key in wanted})
        rows.append({"epoch": state["epoch"], **look(model, pairs, people, np.random.default_rng(given.seed))})
        if given.words and model.method.candidates:
            settings = MeasureSettings(people=given.words, seed=given.seed, bootstrap=BootstrapSettings(resamples=500))
            ratios = {
                way: finding.ratio.mean
                for way, finding in measure(model, data, "val", settings).findings["looks"].items()
                if finding.ratio is not None
            }
            rows[-1]["garment_ratio"] = ratios
        print(json.dumps(rows[-1]), flush=True)
    if given.out is not None:
        given.out.write_bytes(figure(rows, model.name))


def read_pairs(model: LoadedModel, split: Split, people: int, seed: int) -> tuple[list[Pair], list[np.ndarray]]:
    """A pair for each person, and where the picture shows the person, by pixel."""
    pairs, masks = [], []
    for record, caption in draw_samples(split, MeasureSettings(people=people, seed=seed)):
        pairs.append(make_pair(model, caption, open_image(record.image)))
        mask = read_parts(record.image)
        masks.append((mask != Part.BACKGROUND) & (mask != Part.OCCLUDER))
    return pairs, masks


@torch.inference_mode()
def look(
    model: LoadedModel, pairs: list[Pair], people: list[np.ndarray], chance: np.random.Generator
) -> dict[str, Any]:
    """What the class token attends to, and what is found by it alone."""
    images = model.method.encode_images(torch.stack([pair.pixels for pair in pairs]), trace=True)
    ids = torch.stack([pair.ids for pair in pairs])
    texts = TokenBatch(ids, torch.from_numpy(model.tokenizer.mask(ids.numpy())))
    captions = model.method.encode_texts(texts).embedding
    attention = images.trace.rows[max(images.trace.rows)][:, 1:].float()
    found: dict[str, Any] = {"whole": recall_at_1(captions, images.embedding), "retained": {}, "random": {}}
    patches = attention.shape[1]
    for share in RETAINED:
        kept = round(share * patches)
        by_attention = attention.argsort(dim=1, descending=True)[:, :kept].numpy()
        at_random = np.stack([chance.permutation(patches)[:kept] for _ in pairs])
        for name, chosen in (("retained", by_attention), ("random", at_random)):
            shown = torch.cat(
                [hide_patches(pair, rows_of(row, patches)) for pair, row in zip(pairs, chosen, strict=True)]
            )
            found[name][str(share)] = recall_at_1(captions, model.method.encode_images(shown).embedding)
    ratios = []
    for pair, row, mask in zip(pairs, attention.numpy(), people, strict=True):
        small = Image.fromarray(mask.astype(np.uint8) * 255).resize((pair.grid.width, pair.grid.height))
        shows = np.asarray(small, np.float32) / 255
        cover = pair.grid.cover().reshape(patches, -1)
        shares = cover @ shows.ravel() / cover.sum(axis=1)
        ratios.append(float(row @ shares / row.sum() / shows.mean()))
    return found | {"person_ratio": float(np.mean(ratios))}


def rows_of(kept: np.ndarray, patches: int) -> np.ndarray:
    row = np.zeros((1, patches), np.bool_)
    row[0, kept] = True
    return row


def recall_at_1(captions: Tensor, images: Tensor) -> float:
    best = (captions @ images.T).argmax(dim=1)
    return round(100 * float((best == torch.arange(len(captions))).float().mean()), 2)


def figure(rows: list[dict[str, Any]], title: str) -> bytes:
    """R@1 lost by what is kept, and the share of attention on the person, by epoch."""
    epochs = [row["epoch"] for row in rows]
    drawn = new_figure(8.4, 3.6)
    left, right = drawn.subplots(1, 2)
    for share, colour in zip(RETAINED, ("#c2571a", "#0b6e99", "#1f2933"), strict=True):
        for name, line in (("retained", "-"), ("random", ":")):
            gaps = [row["whole"] - row[name][str(share)] for row in rows]
            told = f"{share:.0%}, by attention" if name == "retained" else f"{share:.0%}, at random"
            left.plot(epochs, gaps, line, color=colour, marker="o", markersize=3, label=told)
    left.axhline(0, color="#777777", linewidth=0.8)
    left.set(xlabel="epoch", ylabel="R@1 lost, in points")
    left.legend(frameon=False, fontsize=7)
    right.plot(epochs, [row["person_ratio"] for row in rows], "o-", color="#0b6e99")
    right.axhline(1, color="#777777", linewidth=0.8)
    right.set(xlabel="epoch", ylabel="attention on the person, over chance", ylim=(0, None))
    for axes in (left, right):
        axes.set_xticks(epochs)
        open_axes(axes)
    drawn.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure_bytes(drawn)


if __name__ == "__main__":
    main()
