"""What an earlier process left undone is done before anything is written."""

from pathlib import Path

from pickout.gallery.changes.erasure import finish_erasing
from pickout.gallery.storage.lock import finish_writes
from pickout.gallery.storage.manifest import FORMAT, Manifest, write_manifest
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing, finish_swap


def finish_everything(gallery: Path, store: Store, manifest: Manifest) -> Manifest:
    """Finish what was interrupted, and give a gallery of an older format this one's columns.

    Returns:
        What the gallery is after that.
    """
    finish_writes(gallery)
    finish_swap(gallery)
    finish_erasing(gallery, store)
    if manifest.format == FORMAT:
        return manifest
    with changing(gallery, store):
        store.upgrade()
        manifest = manifest.model_copy(update={"format": FORMAT})
        write_manifest(gallery, manifest)
    return manifest
