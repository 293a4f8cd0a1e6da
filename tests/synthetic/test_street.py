"""Drawing a street: its format, equal bytes, going on after a stop, and what a bad folder gets."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pickout.config import parse_settings
from pickout.data.registry import open_data
from pickout.errors import DataError, DataMissing, RecipeError, StorageFull
from pickout.synthetic import street as drawn_street
from pickout.synthetic.attributes import visible_items
from pickout.synthetic.cameras import NEUTRAL_CAMERA
from pickout.synthetic.captions import with_mistakes
from pickout.synthetic.drawing import Part
from pickout.synthetic.people import sample_person, sample_view
from pickout.synthetic.settings import MistakeSettings
from pickout.synthetic.street import StreetSettings, contact_sheet, draw_street

SMALL = StreetSettings(identities=3, val_identities=1, test_identities=2, images=3, cameras=3, seed=5)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small street, drawn in this process."""
    return draw_street(SMALL, tmp_path_factory.mktemp("drawn") / "street", workers=1)


def records(street: Path) -> list[dict]:
    return json.loads((street / "reid_raw.json").read_text())


def test_the_ordinary_reader_reads_it(street: Path) -> None:
    for name in ("street", "cuhk-pedes"):
        splits = open_data(name, street).splits
        assert {split: (len(splits[split].images), splits[split].identities) for split in splits} == {
            "train": (9, 3),
            "val": (3, 1),
            "test": (6, 2),
        }
        assert {record.identity for record in splits["train"].images} == {0, 1, 2}
        assert all(record.image.is_file() for split in splits.values() for record in split.images)
        assert {record.camera for record in splits["test"].images} <= {"cam_a", "cam_b", "cam_c"}


def test_identities_are_numbered_from_one_and_splits_share_nobody(street: Path) -> None:
    people = {split: {r["id"] for r in records(street) if r["split"] == split} for split in ("train", "val", "test")}
    assert people == {"train": {1, 2, 3}, "val": {4}, "test": {5, 6}}


def test_everybody_is_seen_by_two_cameras_in_the_same_clothes(street: Path) -> None:
    lines = [json.loads(line) for line in (street / "attributes.jsonl").read_text().splitlines()]
    for identity in range(1, 7):
        own = [line for line in lines if line["id"] == identity]
        assert len(own) == 3
        assert len({line["view"]["camera"] for line in own}) >= 2
        assert all(line["person"] == own[0]["person"] for line in own)
    assert len({json.dumps(line["person"]) for line in lines}) == 6


def test_each_image_has_a_mask_of_its_size_with_named_parts(street: Path) -> None:
    for line in (street / "attributes.jsonl").read_text().splitlines():
        facts = json.loads(line)
        with Image.open(street / "imgs" / facts["file_path"]) as image:
            assert (image.mode, image.size) == ("RGB", (64, 192))
        with Image.open(street / facts["parts_path"]) as mask:
            assert (mask.mode, mask.size) == ("L", (64, 192))
            values = {str(value) for value in np.unique(np.asarray(mask))}
        assert values == set(facts["parts"])
        assert all(Part[name.upper()] == int(value) for value, name in facts["parts"].items())
        assert {"background", "upper"} & set(facts["parts"].values()) and len(values) > 3


def test_records_have_two_captions_and_their_words(street: Path) -> None:
    for record in records(street):
        assert set(record) == {"split", "captions", "file_path", "processed_tokens", "id"}
        assert len(set(record["captions"])) == 2
        for caption, words in zip(record["captions"], record["processed_tokens"], strict=True):
            assert 15 <= len(caption.split()) <= 45
            assert " ".join(words) == caption.lower().replace(",", "").replace(".", "")


def test_one_and_two_workers_write_equal_bytes(street: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    other = draw_street(SMALL, tmp_path / "other", workers=2, progress=lambda done, total: seen.append((done, total)))
    assert contents(other) == contents(street)
    assert seen == [(done, 18) for done in range(0, 19, 3)]


def test_another_seed_draws_other_people(street: Path, tmp_path: Path) -> None:
    changed = SMALL.model_copy(
        update={"seed": 6, "identities": 1, "val_identities": 0, "test_identities": 0, "images": 1}
    )
    other = draw_street(changed, tmp_path / "other", workers=1)
    assert records(other)[0]["captions"] != records(street)[0]["captions"]


def test_a_person_does_not_depend_on_how_many_others_there_are(street: Path, tmp_path: Path) -> None:
    fewer = SMALL.model_copy(update={"identities": 2, "val_identities": 0, "test_identities": 0})
    small = contents(draw_street(fewer, tmp_path / "fewer", workers=1) / "imgs")
    whole = contents(street / "imgs")
    assert len(small) == 6
    assert all(whole[name] == data for name, data in small.items())


DRAW = """
import sys
from pathlib import Path
from pickout.synthetic.street import StreetSettings, draw_street
if __name__ == "__main__":
    draw_street(StreetSettings.model_validate_json(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3]))
"""


def start_drawing(out: Path, settings: StreetSettings, workers: int) -> subprocess.Popen[bytes]:
    """Draw in a process of its own and come back when four images are there."""
    drawing = subprocess.Popen([sys.executable, "-c", DRAW, settings.model_dump_json(), str(out), str(workers)])
    while len(list(out.glob("imgs/*/*.jpg"))) < 4 and drawing.poll() is None:
        time.sleep(0.01)
    return drawing


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="asks Linux for the processes")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    drawing = start_drawing(tmp_path / "killed", SMALL.model_copy(update={"identities": 500}), workers=2)
    workers = Path(f"/proc/{drawing.pid}/task/{drawing.pid}/children").read_text().split()
    drawing.kill()
    drawing.wait()
    assert len(workers) >= 2
    for _ in range(300):
        left = [worker for worker in workers if is_running(worker)]
        if not left:
            return
        time.sleep(0.02)
    raise AssertionError(f"still running: {left}")


def is_running(process: str) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_drawing_that_was_killed_goes_on_to_equal_bytes(street: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    drawing = start_drawing(out, SMALL, workers=1)
    drawing.send_signal(signal.SIGKILL)
    assert drawing.wait() == -signal.SIGKILL
    assert not (out / "reid_raw.json").exists()
    with pytest.raises(DataMissing, match="draw the street first"):
        contact_sheet(out)
    (out / "imgs" / ".half.jpg.abcd_123.pickout.part").write_bytes(b"left by the kill")
    before = {path: path.stat().st_mtime_ns for path in out.glob("imgs/*/*.jpg")}
    draw_street(SMALL, out, workers=1)
    assert contents(out) == contents(street)
    kept = [path for path in before if path.stat().st_mtime_ns == before[path]]
    assert len(kept) >= len(before) - 1


def test_a_folder_of_other_settings_is_refused(street: Path) -> None:
    with pytest.raises(DataError, match=r"street.seed is 5 there, 6 here.*another folder"):
        draw_street(SMALL.model_copy(update={"seed": 6}), street, workers=1)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(DataError, match="new or empty folder"):
        draw_street(SMALL, tmp_path, workers=1)
    with pytest.raises(DataError, match="is a file"):
        draw_street(SMALL, tmp_path / "holiday.txt", workers=1)
    with pytest.raises(DataError, match="cannot be written"):
        draw_street(SMALL, tmp_path / "holiday.txt" / "street", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


@pytest.mark.parametrize("pattern", ["parts/*.png", "imgs/*/*.jpg"])
def test_a_damaged_file_is_drawn_again(pattern: str, street: Path, tmp_path: Path) -> None:
    other = tmp_path / "street"
    shutil.copytree(street, other)
    damaged = sorted(other.glob(pattern))[4]
    damaged.write_bytes(damaged.read_bytes()[:50])
    draw_street(SMALL, other, workers=1)
    assert contents(other) == contents(street)


def test_a_killed_worker_is_told_and_the_drawing_can_go_on(tmp_path: Path) -> None:
    many = SMALL.model_copy(update={"identities": 60})

    def kill_one(done: int, total: int) -> None:
        if done == 3:
            os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    with pytest.raises(DataError, match="run the same command again"):
        draw_street(many, tmp_path / "street", workers=2, progress=kill_one)
    assert not (tmp_path / "street" / "reid_raw.json").exists()
    assert list((tmp_path / "street" / "imgs").glob("*/*.jpg"))


def test_a_full_disk_is_named_and_leaves_only_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = drawn_street.write_atomically
    written = []

    def full_after_three(path: Path, data: bytes, **how: bool) -> None:
        if len(written) == 3:
            with monkeypatch.context() as patch:
                patch.setattr(Path, "write_bytes", _no_space)
                write(path, data, **how)
        write(path, data, **how)
        written.append(path)

    def _no_space(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(drawn_street, "write_atomically", full_after_three)
    with pytest.raises(StorageFull, match="no space left"):
        draw_street(SMALL, tmp_path / "street", workers=1)
    files = {path for path in (tmp_path / "street").rglob("*") if path.is_file()}
    assert files == {*written, tmp_path / "street" / "street.toml"}


def test_a_setting_that_does_not_exist_is_named() -> None:
    with pytest.raises(RecipeError, match="did you mean 'identities'"):
        parse_settings(StreetSettings, {"identitys": 4}, source="--set")
    with pytest.raises(RecipeError, match="100000"):
        parse_settings(StreetSettings, {"identities": 99_000, "test_identities": 1_000}, source="--set")


def test_drawing_loads_no_torch() -> None:
    code = "import sys, pickout.synthetic.street, pickout.synthetic.street; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_contact_sheet_shows_people_with_their_sentences(street: Path) -> None:
    sheet = contact_sheet(street, count=4, seed=1, columns=2)
    assert sheet.width < 600 and sheet.height > 600
    assert np.asarray(sheet).std() > 20
    assert np.array_equal(np.asarray(sheet), np.asarray(contact_sheet(street, count=4, seed=1, columns=2)))


def test_a_changed_street_has_the_same_people_and_sentences_in_worse_pictures(street: Path, tmp_path: Path) -> None:
    worse = draw_street(SMALL.model_copy(update={"changed": True}), tmp_path / "worse", workers=1)
    assert records(worse) == records(street)
    plain, changed = contents(street), contents(worse)
    images = [name for name in plain if name.endswith(".jpg")]
    assert all(plain[name] != changed[name] for name in images)
    assert all(plain[name] == changed[name] for name in plain if name.startswith("parts"))
    with Image.open(worse / images[0]) as picture:
        assert picture.size == (SMALL.width, SMALL.height)
    assert "changed" in (worse / "street.toml").read_text() and "changed" not in (street / "street.toml").read_text()


def test_twins_differ_in_one_garment_which_their_captions_name(tmp_path: Path) -> None:
    settings = StreetSettings(identities=2, val_identities=0, test_identities=10, images=1, seed=4, twins=True)
    root = draw_street(settings, tmp_path / "hard", workers=1)
    facts = [json.loads(line) for line in (root / "attributes.jsonl").read_text().splitlines()]
    plain = draw_street(settings.model_copy(update={"twins": False}), tmp_path / "plain", workers=1)
    before = [json.loads(line) for line in (plain / "attributes.jsonl").read_text().splitlines()]
    slots = Counter()
    for first, twin, alone in zip(facts[::2], facts[1::2], before[::2], strict=True):
        one, two = first["person"], twin["person"]
        assert one == alone["person"]  # the odd ones are who they would have been
        (slot,) = {name for name in one if one[name] != two[name]} - {"belt"}
        assert slot in ("outer", "upper", "lower")
        assert one[slot]["colour"]["name"] != two[slot]["colour"]["name"]
        slots[slot] += 1
    assert len(slots) > 1


@pytest.mark.parametrize("slot", ["upper", "lower"])
def test_a_named_garment_is_told_rightly_by_the_worst_of_writers(slot: str) -> None:
    worst = MistakeSettings(colour=1, vague=1, omission=1)
    for seed in range(40):
        generator = np.random.default_rng(seed)
        person = sample_person(generator)
        view = sample_view(generator, person, NEUTRAL_CAMERA)
        items = visible_items(person, view)
        kept = with_mistakes(items, np.random.default_rng(seed), worst, slot)
        assert [item for item in kept if item.slot == slot] == [item for item in items if item.slot == slot]


def test_twins_are_drawn_people() -> None:
    with pytest.raises(ValueError, match="twins"):
        StreetSettings(twins=True, avatars={"folder": "somewhere"})
