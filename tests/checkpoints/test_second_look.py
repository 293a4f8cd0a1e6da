"""A loaded fusion model keeps what a second look reads, and looks again. Its runs hold what use needs, no more."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_albef import JOINT, TEXT, VISION, albef_state, fresh, rasa_state, write_run
from tiny_clip import openai_state

import pickout
from pickout.checkpoints.loaded_model import BATCH, LoadedModel
from pickout.checkpoints.saved_model import save_model
from pickout.checkpoints.source import load
from pickout.checkpoints.starting_weights import initialise
from pickout.errors import CheckpointError, UsageError
from pickout.gallery.encoder import Matching

Write = Callable[..., Path]


@pytest.fixture
def model(write: Write) -> LoadedModel:
    return load(write(rasa_state()), precision="fp32")


def crops(count: int) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (40, 20, 3), dtype=np.uint8)) for _ in range(count)]


def tokens_of(model: LoadedModel, images: list[Image.Image]) -> torch.Tensor:
    prepared = torch.stack([model._prepare(image) for image in images])
    with torch.inference_mode():
        return model.method.encode_images(prepared).tokens


def test_tokens_are_the_image_towers_in_bfloat16(model: LoadedModel) -> None:
    images = crops(BATCH + 3)
    vectors, tokens = model.encode_images_with_tokens(images)
    np.testing.assert_array_equal(vectors, model.encode_images(images))
    assert vectors.shape == (BATCH + 3, JOINT) and tokens.shape == (BATCH + 3, 17, VISION)
    assert tokens.dtype == np.uint16
    back = torch.from_numpy(tokens.copy()).view(torch.bfloat16).float()
    torch.testing.assert_close(back, tokens_of(model, images), rtol=2**-8, atol=1e-5)


def test_scores_are_the_methods_one_pair_at_a_time(model: LoadedModel) -> None:
    tokens = model.encode_images_with_tokens(crops(BATCH + 3))[1]
    scores = model.match("w1 w2 w3", tokens)
    assert scores.shape == (BATCH + 3,) and scores.dtype == np.float32 and np.ptp(scores) > 0.01
    texts = model._tokens(["w1 w2 w3"])
    with torch.inference_mode():
        states = model.method.encode_texts(texts).tokens
        for place in (0, BATCH - 1, BATCH, BATCH + 2):
            picture = torch.from_numpy(tokens[place : place + 1].copy()).view(torch.bfloat16).float()
            memory = model.method.remember(picture)
            alone = model.method.match_pairs(memory, states, texts.mask, torch.zeros(1, dtype=torch.long))
            np.testing.assert_allclose(scores[place], alone.item(), atol=1e-5)
    assert not np.allclose(scores, model.match("w9 w8", tokens), atol=1e-3)


def test_the_second_look_computes_in_bfloat16_where_told(write: Write, model: LoadedModel) -> None:
    half = load(write(rasa_state()), precision="bf16")
    tokens = model.encode_images_with_tokens(crops(4))[1]
    scores, exact = half.match("w1 w2", tokens), model.match("w1 w2", tokens)
    np.testing.assert_allclose(scores, exact, atol=0.05)
    assert scores.dtype == np.float32 and not np.array_equal(scores, exact)


def test_no_pictures_have_no_scores(model: LoadedModel) -> None:
    vectors, tokens = model.encode_images_with_tokens([])
    assert vectors.shape == (0, JOINT) and tokens.size == 0 and tokens.dtype == np.uint16
    assert model.match("w1", tokens).shape == (0,)


@pytest.mark.parametrize("shape", [(2, 17, VISION + 1), (17, VISION), (2, 17, TEXT)])
def test_tokens_of_another_model_are_a_usage_error(model: LoadedModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"are not its own.*encode_images_with_tokens"):
        model.match("w1", np.zeros(shape, np.uint16))
    with pytest.raises(UsageError, match="float32"):
        model.match("w1", np.zeros((2, 17, VISION), np.float32))


def test_scores_that_are_not_finite_are_told(model: LoadedModel) -> None:
    with torch.no_grad():
        model.method.get_parameter("matching_head.bias").fill_(float("nan"))
    with pytest.raises(CheckpointError, match="not finite"):
        model.match("w1", np.zeros((1, 17, VISION), np.uint16))


def test_a_gallery_can_ask_it_to_look_again_and_a_clip_it_cannot(
    model: LoadedModel, write: Write, merges: Path
) -> None:
    assert isinstance(model, Matching) and model.candidates == 128
    clip = load(write(openai_state(), "clip.pth"))
    assert clip.candidates == 0
    with pytest.raises(UsageError, match="no second score"):
        clip.match("w1", np.zeros((1, 17, VISION), np.uint16))


def test_a_run_is_saved_without_what_only_training_needs(write: Write, tmp_path: Path) -> None:
    method = fresh("fusion")
    initialise(method, write(albef_state()))
    run = write_run(tmp_path / "run", method)
    saved = load_file(run / "model.safetensors")
    training = ("momentum.", "image_queue", "text_queue", "identity_queue", "queue_pointer", "relation_", "replaced_")
    assert set(saved) == {key for key in method.state_dict() if not key.startswith(training)}
    assert {"matching_head.weight", "word_head.bias", "temperature"} <= set(saved)
    model = load(run, precision="fp32")
    model.report.require_complete()
    assert not model.report.ignored and not model.report.fresh and model.identities == 0
    file = pickout.load(write(albef_state()), precision="fp32")
    np.testing.assert_allclose(model.encode_texts(["w1 w2"]), file.encode_texts(["w1 w2"]), atol=1e-6)


def test_a_fingerprint_outlives_saving_and_changes_with_any_weight(model: LoadedModel, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    save_model(folder, model.method, model.tokenizer, model.settings, identities=0, name="other")
    again = load(folder, precision="fp32")
    assert again.fingerprint == model.fingerprint
    tokens = model.encode_images_with_tokens(crops(3))[1]
    np.testing.assert_array_equal(again.match("w1 w5", tokens), model.match("w1 w5", tokens))
    with torch.no_grad():
        again.method.get_parameter("matching_head.bias")[0] += 1
    del again.fingerprint
    assert again.fingerprint != model.fingerprint
