"""A true method of two linear maps, and pairs that it can learn: the smallest thing that trains. And a small street."""

import json
import math
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from pickout.data.batching import Batch, SamplerSettings
from pickout.errors import ImageUnreadable
from pickout.methods.base import ImageFeatures, LossTerms, Method, ParameterGroup, TextFeatures
from pickout.shapes import TokenBatch
from pickout.train.engine import Engine, launch
from pickout.train.recipe import OptimSettings, ScheduleSettings, find_recipe, load_recipe

WORDS = 12


class TinyMethod(Method):
    """The mean colour of an image against the mean of word vectors, under a symmetric contrastive loss."""

    def __init__(self, width=6):
        super().__init__()
        self.dimension = width
        self.image = nn.Linear(3, width)
        self.word = nn.Embedding(WORDS, width)
        self.drop = nn.Dropout(0.1)
        self.seen = []

    def encode_images(self, images, *, trace=False):
        tokens = self.image(images.mean(dim=(2, 3)))[:, None]
        return ImageFeatures(F.normalize(tokens[:, 0], dim=-1), tokens)

    def encode_texts(self, texts, *, trace=False):
        tokens = self.word(texts.ids)
        return TextFeatures(F.normalize(tokens.mean(1), dim=-1), tokens, texts)

    def losses(self, batch, progress):
        self.seen.append(progress)
        scores = self.drop(self.encode_images(batch.images).embedding) @ self.encode_texts(batch.texts).embedding.T
        same = (batch.identity[:, None] == batch.identity[None, :]).float()
        target = same / same.sum(1, keepdim=True)
        terms = {"image": F.cross_entropy(scores / 0.1, target), "text": F.cross_entropy(scores.T / 0.1, target)}
        return LossTerms(terms, {"image": 1.0, "text": 0.5}, {"batch": float(len(batch))})

    def parameter_groups(self):
        return [
            ParameterGroup("weights", [self.image.weight, self.word.weight]),
            ParameterGroup("bias", [self.image.bias], learning_rate_scale=2.0, weight_decay_scale=0.0),
        ]


class TinyPairs(Dataset):
    """Identity i has colour i and words i; the augmentation is a small shift drawn from (epoch, place)."""

    def __init__(self, identities):
        self.identities = identities
        self.unreadable = None

    def __len__(self):
        return len(self.identities)

    def __getitem__(self, draw):
        if draw.item == self.unreadable:
            return ImageUnreadable("crops/7.jpg", "not an image")
        identity = self.identities[draw.item]
        generator = torch.Generator().manual_seed(1000 * draw.epoch + draw.place)
        colour = torch.tensor([math.sin(identity), math.cos(identity), math.sin(2 * identity)])
        image = colour[:, None, None] + 0.1 * torch.randn(3, 2, 2, generator=generator)
        return image, torch.tensor([identity % WORDS, (identity * 5 + 1) % WORDS]), identity


def collate(examples):
    for example in examples:
        if isinstance(example, ImageUnreadable):
            return example
    ids = torch.stack([words for _, words, _ in examples])
    images = torch.stack([image for image, _, _ in examples])
    return Batch(
        images, TokenBatch(ids, torch.ones_like(ids, dtype=torch.bool)), torch.tensor([e[2] for e in examples])
    )


class Bench:
    """An engine over the tiny method, with everything a test wants to look at."""

    def __init__(self, accelerator, *, people=12, batch=8, workers=0, schedule=None, optim=None, seed=1):
        torch.manual_seed(seed)
        self.accelerator = accelerator
        self.pairs = TinyPairs([i for i in range(people) for _ in range(4)])
        self.optim = optim or OptimSettings(learning_rate=0.02)
        self.method = TinyMethod()
        recipe = SimpleNamespace(
            seed=seed,
            data=SimpleNamespace(workers=workers),
            sampler=SamplerSettings(batch=batch),
            schedule=schedule or ScheduleSettings(epochs=4, warm_up=1),
            optim=self.optim,
        )
        self.engine = Engine(accelerator, self.method, self.pairs, collate, recipe)
        self.sampler, self.optimiser = self.engine.sampler, self.engine._optimiser.optimizer
        self.reports = []

    def run(self, epochs, step=0):
        for epoch in epochs:
            for told in self.engine.run_epoch(epoch, step):
                self.reports.append(told)
            step = told["step"]
        return step

    def weights(self):
        return {name: tensor.clone() for name, tensor in self.method.state_dict().items()}


@pytest.fixture
def bench():
    """Makes a `Bench` over a fresh engine on the CPU; `bench(accumulate=..., precision=..., ...)`."""
    with ExitStack() as stack:

        def make(*, accumulate=1, precision="fp32", **settings):
            stack.close()
            accelerator = stack.enter_context(launch("cpu", precision, accumulate))
            return Bench(accelerator, **settings)

        yield make


COLOURS = {
    "red": (200, 30, 30),
    "green": (30, 180, 40),
    "blue": (30, 40, 200),
    "yellow": (220, 210, 40),
    "white": (240, 240, 240),
    "black": (15, 15, 15),
}


def draw_blocks(folder, *, people=(("train", 12), ("val", 6)), images=2):
    """People of two coloured blocks, in the format of CUHK-PEDES."""
    generator, names, rows = np.random.default_rng(0), list(COLOURS), []
    people = [split for split, count in people for _ in range(count)]
    for pid, split in enumerate(people, start=1):
        top, bottom = names[pid % 6], names[(pid // 6 + pid + 1) % 6]
        for number in range(images):
            pixels = np.concatenate([np.full((16, 16, 3), COLOURS[top]), np.full((16, 16, 3), COLOURS[bottom])])
            pixels = np.clip(pixels + generator.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
            name = f"cam_{number}/{pid:04d}.png"
            (folder / "imgs" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / "imgs" / name)
            captions = [f"a person in a {top} coat and {bottom} trousers", f"{bottom} trousers with a {top} jacket"]
            rows.append({"split": split, "captions": captions, "file_path": name, "processed_tokens": [], "id": pid})
    (folder / "reid_raw.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="session")
def blocks():
    """`draw_blocks`, for fixtures of wider scope."""
    return draw_blocks


@pytest.fixture
def street(tmp_path):
    """Twelve people to train on and six to validate on, two images of each."""
    return draw_blocks(tmp_path / "street")


@pytest.fixture
def overrides(street):
    """`--set` values that fit the shipped smoke recipe to these pictures."""
    return [f"data.root={street}", "model.image.height=32", "model.image.width=16", "schedule.epochs=3"]


@pytest.fixture
def recipe(overrides):
    """Makes the smoke recipe over the coloured street, with further `--set` values."""

    def make(*more):
        return load_recipe(find_recipe("smoke"), [*overrides, *more])

    return make


@pytest.fixture(autouse=True)
def one_thread():
    """Sums are taken in the same order on any machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
