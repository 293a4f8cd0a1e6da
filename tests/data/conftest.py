"""Small data sets in the original formats."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Write = Callable[..., Path]


def cuhk_records() -> list[dict[str, Any]]:
    """Two people to train on, one in each other split; the fields and paths of `reid_raw.json`."""
    people = [("train", 1, "cam_a/001.jpg"), ("train", 2, "train_query/p2_s3.jpg"), ("train", 2, "CUHK03/003.jpg")]
    people += [("val", 11004, "cam_b/004.png"), ("test", 12004, "test_query/p5.jpg"), ("test", 12004, "Market/6.jpg")]
    return [
        {
            "split": split,
            "captions": [f"A man, number {n}, wears a red shirt.", f"The person of image {n} carries a bag."],
            "file_path": path,
            "processed_tokens": [["a", "man"], ["the", "person"]],
            "id": person,
        }
        for n, (split, person, path) in enumerate(people)
    ]


@pytest.fixture
def write_set(tmp_path: Path) -> Write:
    """Writes a data set: `write_set(records, file="reid_raw.json", images="imgs", path_field="file_path")`."""

    def write(
        records: Any,
        *,
        folder: str = "CUHK-PEDES",
        file: str = "reid_raw.json",
        images: str = "imgs",
        path_field: str = "file_path",
    ) -> Path:
        root = tmp_path / folder
        (root / images).mkdir(parents=True, exist_ok=True)
        (root / file).write_text(records if isinstance(records, str) else json.dumps(records), encoding="utf-8")
        for record in records if isinstance(records, list) else ():
            path = record.get(path_field) if isinstance(record, dict) else None
            image = root / images / path if isinstance(path, str) and path.isprintable() else root
            if image.suffix and root in image.resolve().parents:
                image.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 16), "red").save(image)
        return root

    return write
