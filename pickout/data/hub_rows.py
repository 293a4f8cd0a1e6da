"""A data set of a model hub as a table of our own: images in a folder, a line for each caption."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pickout.errors import DataError, DataMissing
from pickout.files import write_atomically

SYNONYMS: Mapping[str, Sequence[str]] = {
    "image": ("image", "img", "picture", "crop"),
    "caption": ("caption", "captions", "text", "texts", "sentence", "sentences", "description"),
    "identity": ("identity", "person_id", "pid", "id", "label"),
    "camera": ("camera", "camera_id", "cam"),
}
"""Our columns, and what others call them."""
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_SPLITS = {"validation": "val", "dev": "val", "valid": "val"}


def fetch_rows(repository: str, out: Path, columns: Mapping[str, str] | None = None) -> int:
    """Read a data set of the hub through `datasets` and write it as a table that the reader `table` reads.

    Images are written with the bytes that the hub has, not decoded.

    Args:
        repository: `owner/name`, or a folder that `datasets` reads.
        out: a new or empty folder.
        columns: theirs, by our names, where they are called otherwise than in `SYNONYMS`.

    Returns:
        How many images were written.

    Raises:
        DataError: the package `datasets` is missing, a column or an image is, the folder is not empty, or the data set
            cannot be read.
    """
    if out.exists() and any(out.iterdir()):
        raise DataMissing(f"{out}: is not empty; give a new folder")
    try:
        import datasets
    except ImportError:
        raise DataError("reading a data set of the hub needs a package more: pip install 'pickout[datasets]'") from None
    try:
        found = datasets.load_dataset(repository)
    except Exception as error:  # Whatever reads somebody's data: the library has no root of its own.
        told = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise DataError(
            f"{repository}: cannot be read as a data set ({told}); check the name and the network"
        ) from None
    roots = [Path(datasets.config.HF_CACHE_HOME), *([Path(repository)] if Path(repository).is_dir() else [])]
    lines: list[str] = []
    count = 0
    for split, rows in found.items():
        names = _columns(f"{repository}, split {split}", rows.column_names, columns or {})
        rows = rows.cast_column(names["image"], datasets.Image(decode=False))
        for number, row in enumerate(rows):
            facts = {ours: row[theirs] for ours, theirs in names.items()}
            captions = facts.pop("caption")
            texts: Iterable[Any] = [captions] if isinstance(captions, str) else captions or ()
            facts["image"] = _write(facts["image"] or {}, out, f"{split}-{number:07d}", roots)
            facts["split"] = _SPLITS.get(split, split)
            lines += [json.dumps({**facts, "caption": str(text)}, ensure_ascii=False, default=str) for text in texts]
            count += 1
    write_atomically(out / "table.jsonl", "".join(f"{line}\n" for line in lines))
    return count


def _columns(source: str, there: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Their columns by our names."""
    lower = {name.lower(): name for name in reversed(there)}
    names = {ours: next((lower[word] for word in words if word in lower), "") for ours, words in SYNONYMS.items()}
    names |= given
    absent = [ours for ours in ("image", "caption", *given) if names.get(ours) not in there]
    if absent:
        raise DataError(
            f"{source}: no column for {', '.join(absent)}; it has {', '.join(there)}. Name it: "
            f"--column {absent[0]}=NAME"
        )
    return {ours: theirs for ours, theirs in names.items() if theirs}


def _write(image: Mapping[str, Any], out: Path, name: str, roots: Sequence[Path]) -> str:
    """Write one image as its own bytes; its path from the table's folder."""
    path, data = Path(str(image.get("path") or "")), image.get("bytes")
    # A row may name any file of this machine, so a path counts only below the roots.
    if data is None and path.is_file() and any(path.resolve().is_relative_to(root.resolve()) for root in roots):
        data = path.read_bytes()
    if data is None:
        raise DataError(f"{name}: the row has no image")
    ending = path.suffix.lower() if path.suffix.lower() in _ENDINGS else ".jpg"
    write_atomically(out / "images" / f"{name}{ending}", data, durable=False)
    return f"images/{name}{ending}"
