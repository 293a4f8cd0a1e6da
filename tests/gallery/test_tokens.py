"""Tokens for a second look in the store, places in videos, and galleries of the format before."""

import json

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from colour_encoder import ColourEncoder

from pickout.errors import AnnotationError, GalleryError
from pickout.gallery.encoder import Matching
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.report import IngestSettings
from pickout.gallery.search.ranking import Where
from pickout.gallery.storage.rows import ADDED_FIELDS, unpack_tokens
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import MANIFEST


class LookingEncoder(ColourEncoder):
    """Keeps the mean colour of each third as tokens; matches by the first number of the first one."""

    candidates = 3

    def encode_images_with_tokens(self, images):
        vectors = self.encode_images(images)
        tokens = np.stack([np.asarray(image.resize((3, 2)), np.uint16).reshape(2, 9) for image in images])
        return vectors, tokens

    def match(self, sentence, tokens):
        return tokens[:, 0, 0].astype(np.float32)


@pytest.fixture
def looking(tmp_path, crops):
    encoder = LookingEncoder()
    assert isinstance(encoder, Matching)
    made = Gallery.create(tmp_path / "looking.gallery", encoder)
    made.add(crops)
    return made


def ids_of(gallery):
    return [known.id for known in gallery._store.known()]


def test_tokens_are_kept_as_the_model_gave_them(looking, crops):
    tokens = looking._store.fetch_tokens(ids_of(looking))
    rows = looking.rows(ids_of(looking))
    assert len(tokens) == 6
    encoder = LookingEncoder()
    for identifier, row in rows.items():
        from PIL import Image

        expected = encoder.encode_images_with_tokens([Image.open(row.file).convert("RGB")])[1][0]
        assert (tokens[identifier] == expected).all()
        assert row.tokens is None


def test_the_second_look_ranks_the_best(looking):
    hits = looking.search("teal", top=6)
    looked = [hit for hit in hits if hit.match is not None]
    assert len(looked) == 3 and hits[:3] == looked
    assert [hit.match for hit in looked] == sorted((hit.match for hit in looked), reverse=True)


def test_a_copy_of_a_crop_takes_its_tokens_without_encoding(looking, crops):
    encoded = looking._encoder.encoded
    (crops / "copy.png").write_bytes((crops / "0006.png").read_bytes())
    looking.add(crops)
    assert looking._encoder.encoded == encoded
    assert len(looking._store.fetch_tokens(ids_of(looking))) == 7


def test_tokens_can_be_left_out(tmp_path, crops):
    made = Gallery.create(tmp_path / "plain.gallery", LookingEncoder())
    made.add(crops, settings=IngestSettings(tokens="off"))
    assert made._store.fetch_tokens(ids_of(made)) == {}
    assert [hit.match for hit in made.search("teal", top=6)] == [None] * 6


def test_tokens_survive_packing():
    tokens = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert (unpack_tokens(np.array(tokens.shape, "<u4").tobytes() + tokens.tobytes()) == tokens).all()


def test_a_model_that_breaks_its_promise_is_named(tmp_path, crops):
    class Broken(LookingEncoder):
        def encode_images_with_tokens(self, images):
            return self.encode_images(images), np.zeros((1, 2), np.uint16)

    made = Gallery.create(tmp_path / "g", Broken())
    with pytest.raises(GalleryError, match=r"gave tokens of shape \(1, 2\)"):
        made.add(crops)


def test_places_in_videos_are_kept_shown_and_filtered_by(gallery, crops, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text('image,video,frame,box,track\n0006.png,a.mp4,250,"12 40 64 192",t7\ncam_a/0001_c1.png,b.mp4,,,\n')
    gallery.add(crops, table=table)
    (hit,) = gallery.search("teal", where=Where(tracks=["t7"]))
    told = hit.as_json()
    assert (told["video"], told["frame"], told["box"], told["track"]) == ("a.mp4", 250, [12, 40, 64, 192], "t7")
    assert [hit.path for hit in gallery.search("teal", where=Where(videos=["b.mp4"]))] == ["cam_a/0001_c1.png"]
    assert gallery.add(crops, table=table).unchanged == 6


@pytest.mark.parametrize(
    ("column", "value"), [("frame", "ten"), ("frame", "1 2"), ("box", "1 2 3"), ("box", "9e9 1 1 1")]
)
def test_a_wrong_number_is_named(gallery, crops, tmp_path, column, value):
    table = tmp_path / "table.csv"
    table.write_text(f"image,{column}\n0006.png,{value}\n")
    with pytest.raises(AnnotationError, match=rf"{column}.*expected"):
        gallery.add(crops, table=table)


@pytest.fixture
def old(gallery):
    """The gallery as the format before had it."""
    database = lancedb.connect(str(gallery.path))
    rows = database.open_table("crops").to_arrow().drop_columns([name for name, _ in ADDED_FIELDS])
    database.drop_table("crops")
    database.create_table("crops", pa.table(rows))
    manifest = json.loads((gallery.path / MANIFEST).read_text()) | {"format": 1}
    (gallery.path / MANIFEST).write_text(json.dumps(manifest))
    return gallery.path


def test_a_gallery_of_the_format_before_is_searched_as_it_is(old, encoder):
    opened = Gallery.open(old, encoder)
    assert [hit.path for hit in opened.search("teal", top=1)] == ["cam_a/0001_c1.png"]
    assert opened._store.fetch_tokens(ids_of(opened)) == {}
    assert json.loads((old / MANIFEST).read_text())["format"] == 1


def test_adding_brings_it_up_to_date_and_loses_nothing(old, encoder, crops, tmp_path):
    opened, before = Gallery.open(old, encoder), None
    before = {row.path: row.vector.tolist() for row in opened.rows(ids_of(opened)).values()}
    table = tmp_path / "table.csv"
    table.write_text("image,track\n0006.png,t1\n")
    assert opened.add(crops, table=table).updated == 1
    assert json.loads((old / MANIFEST).read_text())["format"] == 2
    again = Gallery.open(old, encoder)
    assert {row.path: row.vector.tolist() for row in again.rows(ids_of(again)).values()} == before
    assert [hit.path for hit in again.search("teal", where=Where(tracks=["t1"]))] == ["0006.png"]


def test_a_kill_between_table_and_manifest_leaves_a_gallery_that_opens(old, encoder):
    Store(old, encoder.dimension).upgrade()
    opened = Gallery.open(old, encoder)
    assert opened.count() == 6 and len(opened.search("teal", top=6)) == 6
