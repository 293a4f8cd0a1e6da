"""Galleries written to one file, and taken in again."""

import json
import stat

import numpy as np
import pytest
from test_tokens import LookingEncoder

from pickout.errors import GalleryError, GalleryModelMismatch, UsageError
from pickout.gallery.audit.log import AUDIT
from pickout.gallery.changes.edits import ERASING
from pickout.gallery.changes.verification import verify
from pickout.gallery.gallery import Gallery
from pickout.gallery.intake.metadata import CameraFrom
from pickout.gallery.portable.reader import import_gallery
from pickout.gallery.search.filters import Where
from pickout.gallery.storage.rows import Metadata, row_seal


@pytest.fixture
def told(tmp_path, crops):
    """The six people with tokens, cameras, places in a video and labels."""
    made = Gallery.create(tmp_path / "told.gallery", LookingEncoder(), run="somewhere")
    made.add(crops, camera_from=CameraFrom.FOLDER)
    ids = made.choose(where=Where(cameras=["cam_a"]))
    made.update(ids, Metadata(video="v.mp4", frame=7, box=(1, 2, 3, 4), track="t1", labels={"seen": "tw\u00efce"}))
    return made


def facts(gallery):
    """Every row with all it holds; tokens and vectors as their bits."""
    store = gallery._store
    ids = [known.id for known in store.known()]
    assert len(ids) == len(set(ids)) == store.count()
    rows, tokens = store.fetch(ids), store.fetch_tokens(ids)
    found = {}
    for identifier, row in rows.items():
        assert row.seal == row_seal(row, tokens.get(identifier))
        own = tokens.get(identifier)
        values = (row.content, row.root, row.path, row.vector.tobytes(), row.width, row.height, row.metadata)
        more = (row.thumbnail, row.added, None if own is None else (own.shape, own.tobytes()), row.seal)
        found[identifier] = (*values, *more)
    return found


def audit_of(gallery):
    return [json.loads(line) for line in (gallery.path / AUDIT).read_text().splitlines()]


@pytest.mark.parametrize("pictures", [False, True])
def test_an_import_brings_no_erased_crop_back_until_that_is_said(tmp_path, told, pictures):
    before = facts(told)
    file, options = tmp_path / "people.pickout", {"crops_to": tmp_path / "pictures"} if pictures else {}
    told.export(file, crops=True)
    gone = told.choose(["0006.png", "cam_a/0001_c1.png"])
    told.erase(gone)
    done = import_gallery(file, told.path, **options)
    assert (done.erased, done.pictures) == (2, 4 if pictures else 0)
    assert (done.added, done.unchanged) == ((4, 0) if pictures else (0, 4))
    assert not set(gone) & {known.id for known in told._store.known()}
    done = import_gallery(file, told.path, again=True)
    assert (done.added, done.unchanged, done.erased) == (2, 4, 0)
    assert {key: value for key, value in facts(told).items() if key in before} == before
    told.remove(gone)
    assert import_gallery(file, told.path).added == 2  # they are no erased crops any more


def test_a_crop_that_is_erased_while_it_is_imported_does_not_come_back(tmp_path, told):
    file, ids = tmp_path / "people.pickout", told.choose(["0006.png"])
    told.export(file)

    def progress(what, done, total):
        if what == "writing" and not done and told.count() == 6:
            Gallery.open(told.path).erase(ids)

    done = import_gallery(file, told.path, replace_rows=True, on_progress=progress)
    assert done.erased == 1 and told.count() == 5


def test_what_is_exported_and_imported_is_equal_bit_for_bit(tmp_path, told):
    file = tmp_path / "people.pickout"
    report = told.export(file)
    assert (report.rows, report.pictures, report.missing, report.bytes) == (6, 0, 0, file.stat().st_size)
    done = import_gallery(file, tmp_path / "copy.gallery")
    assert (done.rows, done.added, done.replaced, done.unchanged, done.kept) == (6, 6, 0, 0, 0)
    copy = Gallery.open(tmp_path / "copy.gallery", LookingEncoder())
    assert facts(copy) == facts(told) and len(facts(copy)) == 6
    assert copy.manifest.model == told.manifest.model
    assert list(verify(copy.path)) == []


def test_both_galleries_give_the_same_answer(tmp_path, told):
    told.export(tmp_path / "people.pickout")
    import_gallery(tmp_path / "people.pickout", tmp_path / "copy.gallery")
    copy = Gallery.open(tmp_path / "copy.gallery", LookingEncoder())
    for sentence in ("a teal jacket", "blue trousers"):
        assert copy.search(sentence) == told.search(sentence)
    assert copy.search("red", where=Where(tracks=["t1"])) == told.search("red", where=Where(tracks=["t1"]))


def test_an_export_is_recorded_and_its_file_is_for_its_owner_only(tmp_path, told):
    file = tmp_path / "people.pickout"
    told.export(file, told.choose(where=Where(cameras=["cam_b"])))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    line = audit_of(told)[-1]
    assert (line["change"], line["rows"]) == ("export", 2) and line["user"] and line["time"]
    import_gallery(file, tmp_path / "copy.gallery")
    line = audit_of(Gallery.open(tmp_path / "copy.gallery"))[-1]
    assert (line["change"], line["rows"]) == ("import", 2)


def test_a_part_of_a_gallery_can_be_exported(tmp_path, told):
    ids = told.choose(where=Where(cameras=["cam_b"]))
    for wrong in ([*ids, "0006.png"], [None], [["a"]]):
        with pytest.raises(UsageError, match="is no crop's id"):
            told.export(tmp_path / "part.pickout", wrong)
    told.export(tmp_path / "part.pickout", [*ids, "0" * 32])
    import_gallery(tmp_path / "part.pickout", tmp_path / "part.gallery")
    part = Gallery.open(tmp_path / "part.gallery")
    assert facts(part) == {identifier: row for identifier, row in facts(told).items() if identifier in ids}
    assert part.cameras() == ("cam_b",)


def test_an_empty_gallery_goes_through(tmp_path, encoder):
    empty = Gallery.create(tmp_path / "empty.gallery", encoder)
    assert empty.export(tmp_path / "empty.pickout").rows == 0
    assert import_gallery(tmp_path / "empty.pickout", tmp_path / "copy.gallery").rows == 0
    assert Gallery.open(tmp_path / "copy.gallery", encoder).count() == 0


def test_many_members_and_commits_give_the_same_rows(tmp_path, told, monkeypatch):
    monkeypatch.setattr("pickout.gallery.portable.writer._MEMBER", 1)
    monkeypatch.setattr("pickout.gallery.portable.writer._AT_ONCE", 2)
    monkeypatch.setattr("pickout.gallery.portable.reader._COMMIT_ROWS", 1)
    seen = []
    told.export(tmp_path / "people.pickout", on_progress=lambda *at: seen.append(at))
    assert seen[0] == (2, 6) and seen[-1] == (6, 6)
    heard = []
    import_gallery(tmp_path / "people.pickout", tmp_path / "copy.gallery", on_progress=lambda *at: heard.append(at))
    assert facts(Gallery.open(tmp_path / "copy.gallery")) == facts(told)
    assert heard[0] == ("checking", 1, 6) and heard[-1] == ("writing", 6, 6)


def test_rows_come_to_those_of_another_gallery_of_the_same_model(tmp_path, told, draw):
    other = Gallery.create(tmp_path / "other.gallery", LookingEncoder())
    draw(tmp_path / "more" / "a.png", top="red", shade=99)
    other.add(tmp_path / "more")
    own = facts(other)
    told.export(tmp_path / "people.pickout")
    assert import_gallery(tmp_path / "people.pickout", other.path).added == 6
    assert facts(other) == {**facts(told), **own}
    assert len(other.search("red", top=9)) == 7


def test_a_gallery_of_another_model_is_refused_and_stays_as_it_was(tmp_path, told, gallery):
    told.export(tmp_path / "people.pickout")
    other = Gallery.create(tmp_path / "other.gallery", LookingEncoder(fingerprint="ab" * 32))
    before = other._store.version()
    with pytest.raises(GalleryModelMismatch, match=r"people\.pickout.*import it into a new folder"):
        import_gallery(tmp_path / "people.pickout", other.path)
    assert other._store.version() == before and not (other.path / AUDIT).exists()


def test_importing_twice_changes_nothing(tmp_path, told):
    told.export(tmp_path / "people.pickout")
    import_gallery(tmp_path / "people.pickout", tmp_path / "copy.gallery")
    copy = Gallery.open(tmp_path / "copy.gallery")
    version, before = copy._store.version(), facts(copy)
    again = import_gallery(tmp_path / "people.pickout", copy.path)
    assert (again.unchanged, again.added, again.replaced, again.kept) == (6, 0, 0, 0)
    assert facts(copy) == before and copy._store.version() == version


def test_the_row_that_was_added_later_stays_and_of_equal_ones_the_gallerys(tmp_path, told, crops, draw):
    told.export(tmp_path / "old.pickout")
    before = facts(told)
    (identifier,) = told.choose(["0006.png"])
    told.update([identifier], Metadata(camera="hall"))
    draw(crops / "cam_a/0001_c1.png", top="red", shade=200)
    told.add(crops)
    after = facts(told)
    told.export(tmp_path / "new.pickout")
    import_gallery(tmp_path / "old.pickout", tmp_path / "copy.gallery")
    copy = Gallery.open(tmp_path / "copy.gallery")
    newer = import_gallery(tmp_path / "new.pickout", copy.path)
    assert (newer.replaced, newer.kept, newer.unchanged) == (1, 1, 4)
    assert facts(copy) == {**after, identifier: before[identifier]}
    older = import_gallery(tmp_path / "old.pickout", told.path)
    assert (older.replaced, older.kept, older.unchanged) == (0, 2, 4) and facts(told) == after
    forced = import_gallery(tmp_path / "old.pickout", told.path, replace_rows=True)
    assert (forced.replaced, forced.kept, forced.unchanged) == (2, 0, 4) and facts(told) == before


def test_an_export_holds_the_rows_of_one_moment(tmp_path, told, crops, draw, monkeypatch):
    monkeypatch.setattr("pickout.gallery.portable.writer._AT_ONCE", 1)
    before, seen = facts(told), []

    def change(done, total):
        """Another process's work, between the first row and the second."""
        seen.append((done, total))
        if done == 1:
            other = Gallery.open(told.path, LookingEncoder())
            other.remove(other.choose(["cam_b/*"]))
            draw(crops / "new.png", top="red", shade=201)
            other.add(crops, prune=True)
            other.compact()

    told.export(tmp_path / "people.pickout", on_progress=change)
    assert seen[-1] == (6, 6) and facts(told) != before
    import_gallery(tmp_path / "people.pickout", tmp_path / "copy.gallery")
    assert facts(Gallery.open(tmp_path / "copy.gallery")) == before


def test_an_erasure_meanwhile_stops_the_export_and_leaves_no_file(tmp_path, told, monkeypatch):
    monkeypatch.setattr("pickout.gallery.portable.writer._AT_ONCE", 1)

    def erase(done, _total):
        if done == 1:
            other = Gallery.open(told.path)
            other.erase(other.choose(["cam_b/*"]))

    with pytest.raises(GalleryError, match="another process erased crops or changed the model meanwhile: run again"):
        told.export(tmp_path / "out" / "people.pickout", on_progress=erase)
    assert list((tmp_path / "out").iterdir()) == []
    assert "export" not in [line.get("change") for line in audit_of(told)]


def test_an_interrupted_erasure_is_finished_first(tmp_path, told):
    (gone,) = told.choose(["0006.png"])
    (told.path / ERASING).write_text(json.dumps([gone]))
    assert told.export(tmp_path / "people.pickout").rows == 5
    assert b"0006.png" not in (tmp_path / "people.pickout").read_bytes()
    assert not (told.path / ERASING).exists()


def test_a_row_changed_by_other_hands_is_not_exported(tmp_path, told):
    row = next(iter(told.rows([told.choose(["0006.png"])[0]]).values()))
    turned = -row.vector
    table = __import__("lancedb").connect(str(told.path)).open_table(told.manifest.table)
    table.update(where=f"id = '{row.id}'", values={"vector": turned.tolist()})
    with pytest.raises(GalleryError, match=r"0006\.png: its row was changed by other hands"):
        told.export(tmp_path / "people.pickout")
    assert not (tmp_path / "people.pickout").exists()


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path, told):
    file = tmp_path / "people.pickout"
    file.write_text("mine")
    with pytest.raises(UsageError, match="is there already; give another name, or --force"):
        told.export(file)
    assert file.read_text() == "mine"
    assert told.export(file, force=True).rows == 6
    assert import_gallery(file, tmp_path / "copy.gallery").added == 6


def test_places_that_cannot_be_are_refused(tmp_path, told):
    with pytest.raises(UsageError, match="lies in the gallery's own folder"):
        told.export(told.path / "people.pickout")
    with pytest.raises(UsageError, match="is a folder"):
        told.export(tmp_path)
    (tmp_path / "plain").write_text("")
    with pytest.raises(GalleryError, match="cannot be made"):
        told.export(tmp_path / "plain" / "people.pickout")
    told.export(tmp_path / "people.pickout")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(GalleryError, match="holds other files"):
        import_gallery(tmp_path / "people.pickout", tmp_path / "full")


def test_a_gallery_of_the_format_before_can_be_exported(tmp_path, told, monkeypatch):
    """Its rows have no seals; what is imported is sealed anew."""
    __import__("lancedb").connect(str(told.path)).open_table(told.manifest.table).drop_columns(["seal"])
    unsealed = Gallery.open(told.path)
    unsealed.export(tmp_path / "people.pickout")
    import_gallery(tmp_path / "people.pickout", tmp_path / "copy.gallery")
    copy = Gallery.open(tmp_path / "copy.gallery")
    assert len(facts(copy)) == 6
    again = import_gallery(tmp_path / "people.pickout", unsealed.path)
    assert (again.unchanged, again.kept) == (6, 0)
    ids = list(facts(copy))
    assert all(np.array_equal(unsealed.rows(ids)[each].vector, copy.rows(ids)[each].vector) for each in ids)
