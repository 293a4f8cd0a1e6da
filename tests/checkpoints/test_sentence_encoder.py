import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import pickout
from pickout.checkpoints import sentence_encoder
from pickout.checkpoints.sentence_encoder import SentenceEncoder
from pickout.cli import model as loading
from pickout.gallery.encoder import Encoder, Reading, keeps_tokens

SENTENCES = [
    "a woman in a teal jacket, black leggings and white trainers, carrying a backpack",
    "man",
    "",
    "red " * 200,
    "ein Mann mit Hut, 日本語",
]


@pytest.fixture(scope="module")
def whole():
    return pickout.load(precision="fp32")


def test_sentences_have_the_vectors_that_the_whole_model_gives_in_float32(whole):
    encoder = SentenceEncoder()
    vectors = encoder.encode_texts(SENTENCES)
    assert vectors.dtype == np.float32 and vectors.shape == (len(SENTENCES), encoder.dimension)
    np.testing.assert_allclose(vectors, whole.encode_texts(SENTENCES), atol=2e-6)
    # Of one sentence alone, whatever stands beside it.
    np.testing.assert_array_equal(encoder.encode_texts(SENTENCES[:1])[0], vectors[0])


def test_it_is_the_whole_model_to_a_gallery(whole):
    encoder = SentenceEncoder()
    assert encoder.is_whole() and isinstance(encoder, Encoder) and isinstance(encoder, Reading)
    assert not keeps_tokens(encoder)
    for key in ("name", "fingerprint", "dimension"):
        assert getattr(encoder, key) == getattr(whole, key), key
    for sentence in ("a womann in a teal flumber", "a red coat"):
        assert encoder.familiarity(sentence) == whole.familiarity(sentence)
    picture = Image.new("RGB", (64, 192), "teal")
    assert float(encoder.encode_images([picture])[0] @ whole.encode_images([picture])[0]) > 0.998


def test_a_file_that_is_not_the_shipped_one_is_read_by_the_whole_model(monkeypatch):
    monkeypatch.setattr(loading, "load_model", lambda *asked: asked)
    for runtime, device in (("torch", "auto"), ("torch", "cpu")):
        assert isinstance(loading.load_encoder("pickout-small", device, runtime), SentenceEncoder)
    for asked in (("pickout-small", "cuda", "torch"), ("pickout-small", "cpu", "openvino"), ("runs/x", "cpu", "torch")):
        assert loading.load_encoder(*asked) == asked
    monkeypatch.setattr(sentence_encoder, "SHA256", "0" * 64)
    assert loading.load_encoder("pickout-small", "cpu", "torch") == ("pickout-small", "cpu", "torch")


def test_a_search_by_sentence_imports_no_torch(tmp_path):
    Image.new("RGB", (64, 192), "teal").save(tmp_path / "crop.png")
    gallery = str(tmp_path / "g")
    index = [sys.executable, "-m", "pickout", "index", str(tmp_path), "--out", gallery]
    subprocess.run(index, check=True, capture_output=True)
    told = """import sys
from pickout.cli.app import main
try:
    main(sys.argv[1:])
finally:
    print("torch" in sys.modules, file=sys.stderr)"""
    search = [sys.executable, "-c", told, "search", gallery, "teal jacket", "--without", "a hat"]
    found = subprocess.run(search, check=True, capture_output=True, text=True)
    assert "crop.png" in found.stdout and found.stderr.split()[-1] == "False"
    by_picture = subprocess.run(
        [*search[:-3], "--image", str(tmp_path / "crop.png")], check=True, capture_output=True, text=True
    )
    assert "crop.png" in by_picture.stdout and by_picture.stderr.split()[-1] == "True"
