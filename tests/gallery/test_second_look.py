"""A model that looks again, from indexing to calibrated answers: its tokens are kept, and its score ranks the best."""

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from test_calibration import CLOTHES, write_people

from pickout.gallery.calibration.fit import CalibrationSettings
from pickout.gallery.gallery import Gallery
from pickout.gallery.search.query import Query


class LookingEncoder(ColourEncoder):
    """Its vectors know the jacket alone; its second look compares all three thirds, kept as bfloat16 bits."""

    candidates = 20

    def _image(self, image):
        return self._jacket(super()._image(image))

    def _text(self, text):
        return self._jacket(super()._text(text))

    def encode_images_with_tokens(self, images):
        whole = np.stack([ColourEncoder._image(self, image) for image in images])[:, :9].reshape(-1, 3, 3)
        self.encoded += len(images)
        vectors = np.stack([self._jacket(ColourEncoder._image(self, image)) for image in images])
        return vectors, (np.ascontiguousarray(whole).view(np.uint32) >> 16).astype(np.uint16)

    def match(self, sentence, tokens):
        colours = (tokens.astype(np.uint32) << 16).view(np.float32).reshape(len(tokens), 9)
        return (3 * colours @ ColourEncoder._text(self, sentence)[:9]).astype(np.float32)

    def _jacket(self, vector):
        kept = vector * np.array([0.0] * 3 + [1.0] * 3 + [0.0] * 3 + [1.0])
        return (kept / np.linalg.norm(kept)).astype(np.float32)


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    from tests.gallery.conftest import draw_crop

    root = tmp_path_factory.mktemp("looked")
    chosen = [CLOTHES[place] for place in np.random.default_rng(1).permutation(len(CLOTHES))[:160]]
    write_people(draw_crop, root / "crops", chosen[:110])
    split = write_people(draw_crop, root / "val", chosen[110:])
    gallery = Gallery.create(root / "g", LookingEncoder())
    gallery.add(root / "crops")
    return gallery, split, chosen


def test_the_second_look_ranks_the_best_and_finds_who_the_vectors_cannot_tell(looked):
    gallery, _, chosen = looked
    first = 0
    for number, (hair, top, bottom) in enumerate(chosen[:30]):
        answer = gallery.ask(f"{hair} hair, {top} jacket, {bottom} trousers", top=30)
        matches = [hit.match for hit in answer.hits]
        assert matches[:20] == sorted(matches[:20], reverse=True) and matches[20:] == [None] * 10
        assert min(hit.score for hit in answer.hits[:20]) >= max(hit.score for hit in answer.hits[20:])
        first += answer.hits[0].path == f"{number:03d}_0.png"
    assert first >= 25


def test_a_picture_in_the_query_leaves_the_second_look_out(looked):
    gallery, split, _ = looked
    answer = gallery.ask(Query(["red jacket"], images=[split.images[0].image]))
    assert {hit.match for hit in answer.hits} == {None}


def test_calibration_is_fitted_on_the_scores_of_the_second_look(looked):
    gallery, split, _ = looked
    calibration = gallery.calibrate(split, settings=CalibrationSettings(looked_again=60))
    assert calibration.second_look and len(calibration.levels) == 1
    assert calibration.check.ece <= 0.1
    answer = gallery.ask(split.images[3].captions[0], top=25)
    told = [hit.probability for hit in answer.hits]
    assert told[:20] == sorted(told[:20], reverse=True) and told[20:] == [None] * 5
    assert answer.verdict.best == told[0]
