"""What a second look costs that reads a bank of image tokens in place of all: `union` beside `aga`.

    python benchmarks/bank.py [--recipe aga-cuhk-pedes] [--kept 0.4] [--crops 8] [--words 32] [--rounds 7]

The fusion layers of a recipe with random weights read so many crops for one caption each, once with all image tokens
and once with the class token and the kept share of the patches; sides take turns in one process and one thread. Prints
medians of processor time and their ratio."""

import argparse
import statistics
import time

import torch

from pickout.nn.fusion_encoder import FusionEncoder
from pickout.train.recipe import find_recipe, load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="aga-cuhk-pedes")
    parser.add_argument("--kept", type=float, default=0.4, help="share of the patches in the bank")
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--words", type=int, default=32, help="tokens of a caption")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = load_recipe(find_recipe(options.recipe)).model
    width, image = model.vision.width, model.image
    stride = model.vision.patch if model.vision.kind == "vit" else 16  # Lite0's last maps have a sixteenth of the side
    patches = (image.height // stride) * (image.width // stride)
    vocabulary = {"vocabulary_size": 30522, "padding": 0, "start": 101, "end": 102}
    layers = FusionEncoder(model.text, memory_width=width, **vocabulary).eval()
    states = torch.randn(options.crops, options.words, model.text.width)
    mask, own = torch.ones(options.crops, options.words, dtype=torch.bool), torch.arange(options.crops)
    sides = {"all": 1 + patches, "bank": 1 + int(patches * options.kept)}
    tokens = {name: torch.randn(options.crops, count, width) for name, count in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with torch.inference_mode():
        for _ in range(options.rounds + 1):
            for name, each in tokens.items():
                begun = time.process_time()
                layers.fuse(states, mask, layers.remember(each), own, summary_rows=options.crops)
                times[name].append(time.process_time() - begun)
    medians = {name: statistics.median(each[1:]) for name, each in times.items()}
    for name, seconds in medians.items():
        print(f"{name}: {sides[name]} tokens, {1000 * seconds / options.crops:.1f} ms of processor time a crop")
    print(f"ratio {medians['bank'] / medians['all']:.2f}, of the tokens {sides['bank'] / sides['all']:.2f}")


if __name__ == "__main__":
    main()
