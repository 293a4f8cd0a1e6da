"""Erasing rows for good; what an earlier process left undone is done before anything is written."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pickout.files import write_atomically
from pickout.gallery.approximate.build import renew
from pickout.gallery.audit.log import crops_with_keys, forget
from pickout.gallery.intake.quarantine import update_quarantine
from pickout.gallery.intake.suppression import read_suppression, write_suppression
from pickout.gallery.search.query import is_end, possible_ids
from pickout.gallery.search.saved_searches import SavedSearches
from pickout.gallery.storage.lock import clear_half_written, finish_writes
from pickout.gallery.storage.manifest import FORMAT, Manifest, read_small_file, write_manifest
from pickout.gallery.storage.store import Store
from pickout.gallery.storage.tables import changing, finish_swap, pending_store, strays

_Id = Annotated[str, Field(pattern="^[\\x00-\\x7f]*$")]
ERASING = "erasing.json"  # ids of the rows that are being erased; there only while that is not finished


def erase_rows(gallery: Path, store: Store, ids: Iterable[str]) -> tuple[int, tuple[str, ...]]:
    """Remove rows, their quarantine lines, the saved searches that name them, and every trace of them and of what was
    removed or replaced before from the gallery's folder, also from a table that is being built. Killed at any moment,
    it is finished by the next writer. Returns how many rows there are fewer, and the names of the searches that
    went."""
    with changing(gallery, store):
        wanted = sorted({*ids, *unfinished(gallery)})
        write_atomically(gallery / ERASING, json.dumps(wanted) + "\n")
        chosen = frozenset(wanted)
        erased = [(known.id, known.content) for known in store.known() if known.id in chosen]
        if erased:
            write_suppression(gallery, read_suppression(gallery).with_crops(erased))
    files = [file for identifier, file in store.files() if identifier in chosen]
    update_quarantine(gallery, [], files)
    searches = _forget_searches(gallery, store, chosen)
    with changing(gallery, store):
        store.erase(wanted)
        renew(gallery, store)
        if (built := pending_store(gallery)) is not None:
            # What was removed or replaced before goes too, and the table that is being built may still have it.
            built.erase({*wanted, *strays(store, built)})
        forget(gallery, set(crops_with_keys(gallery)) - {identifier for identifier, _ in store.files()})
        clear_half_written(gallery)
        # Another process may have listed more meanwhile; those are its to finish.
        if others := sorted(set(unfinished(gallery)) - chosen):
            write_atomically(gallery / ERASING, json.dumps(others) + "\n")
        else:
            (gallery / ERASING).unlink(missing_ok=True)
    return len(files), searches


def unfinished(gallery: Path) -> list[str]:
    """Ids whose erasure was interrupted; empty where none was."""
    remedy = "garbled: delete the file and erase again what was to be erased"
    return read_small_file(gallery / ERASING, list[_Id], remedy) or []


def finish_erasing(gallery: Path, store: Store) -> None:
    """Go on with an erasure that a kill interrupted. Every writer calls this before it writes."""
    if (gallery / ERASING).exists():
        erase_rows(gallery, store, ())


def finish_everything(gallery: Path, store: Store, manifest: Manifest) -> Manifest:
    """Finish what was interrupted, and give a gallery of an older format this one's columns; what it is after that."""
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


def _forget_searches(gallery: Path, store: Store, chosen: frozenset[str]) -> tuple[str, ...]:
    """Remove saved searches that name one of these rows, or a crop that has no row any more."""
    saved = SavedSearches(gallery)
    searches = {search.name: search.query for search in saved.all()}
    crops = {name: {*query.get("more_like", ()), *query.get("less_like", ())} for name, query in searches.items()}
    named = {name: crops[name] | set(query.get("images", ())) for name, query in searches.items()}
    every, erased, kept = set[str]().union(*named.values()), set[str](), set[str]()
    ids = {each: possible_ids(each) for each in every}
    behind = {each: each.rpartition("../")[2] for each in every}  # a crop may have been called so from any folder
    for identifier, file in store.files() if every else ():
        fitting = {each for each in every if identifier in ids[each] or (behind[each] and is_end(behind[each], file))}
        (erased if identifier in chosen else kept).update(fitting)
    gone = tuple(name for name in searches if named[name] & erased or crops[name] - kept)
    for name in gone:
        saved.remove(name)
    return gone
