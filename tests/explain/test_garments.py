import numpy as np
import pytest

from pickout.data.image_changes import read_parts
from pickout.explain.faithfulness import named_parts, part_shares, pointing_ratio, read_attributes
from pickout.explain.pair import Grid, make_pair
from pickout.synthetic.surfaces import Part

PERSON = {
    "upper": {"kind": "shirt"}, "outer": {"kind": "puffer jacket"}, "lower": {"kind": "jeans"},
    "shoes": {"kind": "trainers"},
    "headwear": None, "bag": {"kind": "backpack"},
}  # fmt: skip


def named(model, picture, sentence, person=PERSON):
    pair = make_pair(model, sentence, picture)
    return [(pair.words[pair.told[told]].text, Part(part).name) for told, part in named_parts(pair, person)]


def test_words_are_tied_to_what_the_person_wears(model, picture):
    sentence = "A man in a Puffy Jacket over a shirt, denims and a back pack; no hat."
    assert named(model, picture, sentence) == [
        ("Puffy", "OUTER"), ("Jacket", "OUTER"), ("shirt", "UPPER"), ("denims", "LOWER"),
        ("back", "BAG"), ("pack", "BAG"),
    ]  # fmt: skip


def test_a_phrase_at_the_very_end_is_found_whole(model, picture):
    assert named(model, picture, "red running shoes") == [("running", "SHOES"), ("shoes", "SHOES")]


def test_a_name_that_fits_two_things_names_neither(model, picture):
    person = PERSON | {"upper": {"kind": "vest"}, "outer": {"kind": "vest"}}
    assert named(model, picture, "a grey vest and jeans", person) == [("jeans", "LOWER")]


GRID = Grid(rows=2, columns=2, patch=4, stride=4, height=8, width=8)


def mask():
    """The part fills the upper left patch and half of the upper right one, of twice the model's size."""
    picture = np.zeros((16, 16), np.uint8)
    picture[:8, :12] = 4
    return picture


def test_shares_are_parts_of_patches_and_of_the_picture():
    shares, covered = part_shares(mask(), 4, GRID)
    assert shares == pytest.approx([1, 0.5, 0, 0], abs=0.01)
    assert covered == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("heat", "ratio"), [([1, 0, 0, 0], 1 / 0.375), ([1, 1, 1, 1], 1), ([0, -5, 2, 2], 0), ([-1, -1, 0, -2], 1)]
)
def test_the_ratio_is_heat_on_the_part_over_its_area(heat, ratio):
    shares, covered = part_shares(mask(), 4, GRID)
    assert pointing_ratio(np.array(heat, np.float32), shares, covered) == pytest.approx(ratio, abs=0.01)


def test_a_drawn_street_tells_its_garments_and_masks(model, street, picture):
    attributes = read_attributes(street)
    assert len(attributes) == 4
    record = next(iter(attributes.values()))
    parts = read_parts(street / "imgs" / record["file_path"])
    assert parts.shape == (96, 32)
    assert {str(value) for value in np.unique(parts)} == set(record["parts"])
    kinds = [record["person"][slot]["kind"] for slot in ("upper", "shoes")]
    assert {part for _, part in named(model, picture, " and ".join(kinds), record["person"])} >= {"SHOES"}


def test_other_data_sets_tell_none(tmp_path):
    assert read_attributes(tmp_path) == {}
