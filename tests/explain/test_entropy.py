"""Entropy of the class token's attention by layer."""

import math

import numpy as np
import pytest
import torch

from pickout.explain.pair import attention_entropy, make_pair, row_entropies
from pickout.shapes import AttentionRequest, AttentionTrace


def test_entropies_are_those_of_the_loops_and_of_known_rows():
    rows = {1: torch.full((1, 8), 1 / 8), 2: torch.eye(8)[:1], 3: torch.tensor([[0.5, 0.25, 0.25, 0, 0, 0, 0, 0]])}
    trace = AttentionTrace(rows, {}, torch.zeros(1, dtype=torch.int64), torch.ones(1, 8, dtype=torch.bool))
    found = row_entropies(trace)
    assert found.shape == (1, 3)
    assert found[0].tolist() == pytest.approx([math.log(8), 0.0, 1.5 * math.log(2)], abs=1e-6)


def test_each_layer_of_both_towers_is_told_for_every_pair(model, picture, sentence, tmp_path):
    picture.save(tmp_path / "crop.png")
    told = []
    pairs = [(tmp_path / "crop.png", sentence)] * 2
    found = attention_entropy(model, pairs, lambda done, whole: told.append((done, whole)))
    assert told == [(1, 2), (2, 2)]
    assert {kind: rows.shape for kind, rows in found.items()} == {"images": (2, 2), "captions": (2, 2)}
    pair = make_pair(model, sentence, picture)
    with torch.no_grad():
        rows = model.method.vision(pair.pixels[None], AttentionRequest(rows="all")).trace.rows
    by_loops = [-sum(float(a) * math.log(float(a)) for a in rows[layer][0] if a > 0) for layer in (1, 2)]
    assert found["images"][0].tolist() == pytest.approx(by_loops, abs=1e-4)
    assert np.array_equal(found["images"][0], found["images"][1])
    assert (found["images"] <= math.log(9) + 1e-5).all()
