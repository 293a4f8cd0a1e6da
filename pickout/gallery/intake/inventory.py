"""What a gallery already holds, so that nothing is encoded twice."""

from collections.abc import Iterable

from pickout.gallery.storage.rows import Known, Metadata


class Inventory:
    """Every row's content and metadata by id, and one row's id by content: about 0.4 GB a million rows.

    Args:
        rows: what the store knows.
    """

    def __init__(self, rows: Iterable[Known]) -> None:
        self._rows: dict[bytes, tuple[bytes, Metadata]] = {}
        self._by_content: dict[bytes, bytes] = {}
        self._metadata: dict[tuple[object, ...], Metadata] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Known) -> None:
        """Take note of a row that was written."""
        identifier, content = bytes.fromhex(row.id), bytes.fromhex(row.content)
        self._rows[identifier] = (content, self._one(row.metadata))
        self._by_content[content] = identifier

    def metadata(self, identifier: str) -> Metadata:
        """The metadata of a row; empty where there is none."""
        found = self._rows.get(bytes.fromhex(identifier))
        return Metadata() if found is None else found[1]

    def content(self, identifier: str) -> str | None:
        """The content of a row; None where there is none."""
        found = self._rows.get(bytes.fromhex(identifier))
        return None if found is None else found[0].hex()

    def is_current(self, identifier: str, content: str, told: Metadata) -> bool:
        """Whether the row is there, with this content, and `told` says nothing new about it."""
        found = self._rows.get(bytes.fromhex(identifier))
        return found is not None and found[0] == bytes.fromhex(content) and told.over(found[1]) == found[1]

    def row_with(self, content: str) -> str | None:
        """The id of a row whose file had these bytes."""
        found = self._by_content.get(bytes.fromhex(content))
        return None if found is None else found.hex()

    def _one(self, metadata: Metadata) -> Metadata:
        """The same object for equal metadata: most crops of a camera without times share theirs."""
        place = (metadata.video, metadata.frame, metadata.box, metadata.track)
        key = (metadata.camera, metadata.time, *place, *sorted(metadata.labels.items()))
        return self._metadata.setdefault(key, metadata)
