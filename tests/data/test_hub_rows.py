"""Data sets of a hub become tables of our own."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pickout
from pickout.data.registry import open_data

pytest.importorskip("datasets")
sys.path.insert(0, str(Path(__file__).parent.parent / "checkpoints"))
from local_hub import local_hub


def shard(split: str, people: int, captions: str = "captions") -> bytes:
    """A Parquet file as `datasets` writes it: images as a struct of bytes and path."""
    rows = []
    for number in range(people):
        picture = io.BytesIO()
        Image.new("RGB", (8, 16), (number * 20, 0, 0)).save(picture, "PNG")
        image = {"bytes": picture.getvalue(), "path": f"{split}{number}.png"}
        rows.append({"image": image, captions: [f"a red hat {number}", "a coat"], "pid": number // 2})
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def fetch(address: str, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the library reads the hub's address when it is imported."""
    path = [str(Path(pickout.__file__).parent.parent), *(entry for entry in sys.path if entry)]
    environment = {
        "PYTHONPATH": os.pathsep.join(path),
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "NO_PROXY": "*",
        "HF_ENDPOINT": address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "pickout", "data", "fetch", "some/body", "--out", str(tmp_path / "out"), *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=250,
    )


def test_splits_images_captions_and_people_come_over(tmp_path: Path) -> None:
    names = {"train": 6, "validation": 3, "test": 2}
    files = {f"some/body/data/{split}-00000-of-00001.parquet": shard(split, count) for split, count in names.items()}
    with local_hub(files) as hub:
        done = fetch(hub.address, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("11 images written")
    data = open_data("table", tmp_path / "out")
    counts = {name: (len(split.images), split.identities) for name, split in data.splits.items()}
    assert counts == {"train": (6, 3), "val": (3, 2), "test": (2, 1)}
    first = data.splits["train"].images[1]
    assert list(first.captions) == ["a red hat 1", "a coat"]
    with Image.open(tmp_path / "out" / "images" / "train-0000001.png") as picture:
        assert picture.getpixel((0, 0)) == (20, 0, 0)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with local_hub({"some/body/data/train-00000-of-00001.parquet": shard("train", 2, "words")}) as hub:
        done = fetch(hub.address, tmp_path)
        assert done.returncode == 3
        assert "no column for caption; it has image, words, pid. Name it: --column caption=NAME" in done.stderr
        assert fetch(hub.address, tmp_path, "--column", "caption=words").returncode == 0
        again = fetch(hub.address, tmp_path)
        assert again.returncode == 3 and "is not empty" in again.stderr


def test_a_row_that_names_a_file_of_this_machine_gives_none(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 16)).save(secret)
    rows = [{"image": {"bytes": None, "path": str(secret)}, "caption": "a red hat"}]
    file = io.BytesIO()
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", image), ("caption", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    with local_hub({"some/body/data/train-00000-of-00001.parquet": file.getvalue()}) as hub:
        done = fetch(hub.address, tmp_path)
    assert done.returncode == 3 and "train-0000000: the row has no image" in done.stderr
    assert not list((tmp_path / "out").rglob("*.png"))
