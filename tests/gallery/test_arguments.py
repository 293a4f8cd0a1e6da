"""Values of another type than a method takes: an error that names the argument, the value and what is expected."""

from pathlib import Path

import pytest

from pickout.errors import PickoutError, UsageError
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom

CALLS = {
    "erase: ids = 5: expected Sequence[str]": lambda gallery: gallery.erase(5),
    "remove: ids = None: expected Sequence[str]": lambda gallery: gallery.remove(None),
    "choose: crops = 7": lambda gallery: gallery.choose(7),
    "rows: ids = 1.5: expected Iterable[str]": lambda gallery: gallery.rows(1.5),
    "search: query = None: expected Query | str": lambda gallery: gallery.search(None),
    "search: top = '3': expected int": lambda gallery: gallery.search("a man", top="3"),
    "search: top = True: expected int": lambda gallery: gallery.search("a man", top=True),
    "search: top = 2.5": lambda gallery: gallery.search("a man", top=2.5),
    "ask: page = None": lambda gallery: gallery.ask("a man", page=None),
    "ask: grouping = 'tracks': expected Grouping": lambda gallery: gallery.ask("a man", grouping="tracks"),
    "search: where = {'cameras'": lambda gallery: gallery.search("a man", where={"cameras": ["lobby"]}),
    "counts: where = 'lobby': expected Where": lambda gallery: gallery.counts("lobby"),
    "ask_many: asked = 3": lambda gallery: gallery.ask_many(3),
    "update: told = {'camera'": lambda gallery: gallery.update([], {"camera": "lobby"}),
    "add: crops = 3: expected str | Path": lambda gallery: gallery.add(3),
    "add: exclude = 3": lambda gallery: gallery.add("crops", exclude=3),
    "add: prune = 'yes': expected bool": lambda gallery: gallery.add("crops", prune="yes"),
    "export: file = None": lambda gallery: gallery.export(None),
    "calibrate: split = 'val': expected Split": lambda gallery: gallery.calibrate("val"),
    "create: path = 5": lambda gallery: Gallery.create(5, None),
    "open: path = None: expected str | Path": lambda gallery: Gallery.open(None),
}


@pytest.mark.parametrize("told", CALLS)
def test_another_type_is_told_with_the_argument_the_value_and_what_is_expected(gallery, told):
    with pytest.raises(UsageError) as caught:
        CALLS[told](gallery)
    assert told in str(caught.value)
    assert gallery.count() == 6


def test_values_that_mean_the_same_are_taken(gallery, crops):
    assert gallery.add(str(crops), camera_from="folder").unchanged == gallery.add(Path(crops)).unchanged
    assert gallery.add(crops, camera_from=CameraFrom.NONE, exclude=("*.gif",)).found == 6
    assert gallery.remove(()).rows == 0


def test_no_public_method_lets_a_number_through_to_a_traceback(gallery):
    for name in dir(Gallery):
        method = getattr(gallery, name)
        if not name.startswith("_") and callable(method):
            try:
                method(12345.5)
            except (PickoutError, TypeError) as error:
                assert name in str(error), f"{name}: {error}"  # Python's own tells too many arguments by the name
