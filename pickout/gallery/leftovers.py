"""Halves of small files that killed processes left in a gallery's folder. They may name rows that are erased since."""

from pathlib import Path

from pickout.gallery.lock import writing


def half_written(gallery: Path) -> list[Path]:
    """Files that were being written when a process was killed, or are being written now."""
    return sorted(gallery.glob(".*.part"))


def clear_half_written(gallery: Path) -> None:
    """Delete them. The caller holds the gallery's lock, as does whoever writes a file of the gallery's."""
    for file in half_written(gallery):
        file.unlink(missing_ok=True)


def finish_writes(gallery: Path) -> None:
    """Delete what interrupted writes left. Every writer calls this before it writes."""
    if half_written(gallery):
        with writing(gallery):
            clear_half_written(gallery)
