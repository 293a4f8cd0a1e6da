"""What changes of rows that are there rest on: how rows are chosen, checked and erased, and what a kill left undone."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from pickout.errors import UsageError
from pickout.files import write_atomically
from pickout.gallery.approximate.build import keep_codes
from pickout.gallery.audit.log import crops_with_keys, forget
from pickout.gallery.intake.left_out import update_quarantine, update_suppression
from pickout.gallery.search.filters import Where, allowed, check_where
from pickout.gallery.search.query import is_end, possible_ids, possible_paths
from pickout.gallery.search.saved_searches import SavedSearches
from pickout.gallery.storage import tables
from pickout.gallery.storage.rows import ROW_ID, Metadata, Resident, composed, without_zone
from pickout.gallery.storage.store import Store

_Id = Annotated[str, Field(pattern="^[\\x00-\\x7f]*$")]
_METADATA = TypeAdapter(Metadata)
ERASING = "erasing.json"  # ids of the rows that are being erased; there only while that is not finished


class Change(NamedTuple):
    """How many rows a change concerned, and which saved searches went since they named an erased crop."""

    rows: int
    searches: tuple[str, ...] = ()


def choose_rows(store: Store, resident: Resident, crops: Sequence[str], where: Where) -> list[str]:
    """Ids of the crops that are named and pass the filters; the path's order. Without names, all that pass. Names are
    ids, absolute paths, or ends of paths from a folder on, in which `*` and `?` stand for any letters unless a crop has
    just this path. A UsageError where nothing or something unknown is named."""
    passed = allowed(where, resident)
    if not crops and passed is None:
        raise UsageError("every crop would be meant; name crops or set a filter")
    check_where(where, resident)
    ids = [resident.ids[row].decode() for row in resident.order.argsort() if passed is None or passed[row]]
    if not crops:
        return ids
    files, named = dict(store.files()), set[str]()
    for crop in crops:
        same = files.keys() & set(possible_ids(crop)) | {each for each, file in files.items() if is_end(crop, file)}
        if not (found := files.keys() & {crop} or same or _fitting(crop, files)):
            raise UsageError(f"'{crop}': no crop has this id or path; pickout search --json tells both")
        named |= found
    return [identifier for identifier in ids if identifier in named]


def _fitting(crop: str, files: Mapping[str, Path]) -> set[str]:
    """Crops whose path, or the end of it, has this pattern; brackets are letters of a name and nothing else."""
    end = str(Path(crop)) if crop.startswith("/") else f"*/{Path(crop)}"
    patterns = [composed(str(each)).replace("[", "[[]") for each in (end, *possible_paths(crop))]
    paths = {identifier: composed(str(file)) for identifier, file in files.items()}
    return {each for each, path in paths.items() if any(fnmatchcase(path, pattern) for pattern in patterns)}


def checked_ids(ids: Collection[str]) -> list[str]:
    """Each id once."""
    for identifier in (told := list(ids)):
        if not isinstance(identifier, str) or not ROW_ID.fullmatch(identifier):
            raise UsageError(f"{identifier!r:.80} is no crop's id; take those that gallery.choose([...]) gives")
    return list(dict.fromkeys(told))


def checked_metadata(told: Metadata) -> Metadata:
    """Metadata as it will be read: time without zone, a box of four numbers; `UsageError` where it cannot be."""
    try:
        box: Any = None if told.box is None else tuple(told.box)
        checked = _METADATA.validate_python(replace(told, box=box))
        return replace(checked, time=checked.time and without_zone(checked.time))
    except ValidationError as error:
        raise UsageError(f"metadata: {tables.first_fault(error)}") from None
    except (TypeError, AttributeError, OverflowError) as error:
        raise UsageError(f"expected Metadata, with labels by name and a box of four numbers: {error}") from None


def erase_rows(gallery: Path, store: Store, ids: Iterable[str], first: Iterable[Callable[[], object]] = ()) -> Change:
    """Remove rows, their quarantine lines, the saved searches that name them, and every trace of them and of what was
    removed or replaced before from the gallery's folder, also from a table that is being built. Killed at any moment,
    it is finished by the next writer. What is to be done `first` is called under the lock, and what it raises ends it.
    `GalleryError` where files of the table cannot be deleted; the next change tries again."""
    with tables.changing(gallery, store):
        for each in first:
            each()
        wanted = sorted({*ids, *unfinished(gallery)})
        write_atomically(gallery / ERASING, json.dumps(wanted) + "\n")
        chosen = frozenset(wanted)
        erased = [(known.id, known.content) for known in store.known() if known.id in chosen]
        if erased:
            update_suppression(gallery, erased=erased)
        files = [file for identifier, file in store.files() if identifier in chosen]
        update_quarantine(gallery, [], files)
    searches = _forget_searches(gallery, store, chosen)
    with tables.changing(gallery, store):
        store.erase(wanted)
        keep_codes(gallery, store)
        if (built := tables.pending_store(gallery)) is not None:
            # What was removed or replaced before goes too, and the table that is being built may still have it.
            marks = dict(store.marks())
            built.erase({*wanted, *(each for each, mark in built.marks() if marks.get(each) != mark)})
        forget(gallery, set(crops_with_keys(gallery)) - {identifier for identifier, _ in store.files()})
        tables.clear(gallery)
        # Another process may have listed more meanwhile; those are its to finish.
        if others := sorted(set(unfinished(gallery)) - chosen):
            write_atomically(gallery / ERASING, json.dumps(others) + "\n")
        else:
            (gallery / ERASING).unlink(missing_ok=True)
    return Change(len(files), searches)


def unfinished(gallery: Path) -> list[str]:
    """Ids whose erasure was interrupted; empty where none was."""
    remedy = "garbled: delete the file and erase again what was to be erased"
    return tables.read_small_file(gallery / ERASING, list[_Id], remedy) or []


def finish_erasing(gallery: Path, store: Store) -> None:
    """Go on with an erasure that a kill interrupted. Every writer calls this before it writes."""
    if (gallery / ERASING).exists():
        erase_rows(gallery, store, ())


def finish_everything(gallery: Path, store: Store, manifest: tables.Manifest) -> tables.Manifest:
    """Finish what was interrupted, and bring a gallery that an earlier version made up to date; what it is then."""
    tables.finish_swap(gallery)
    if indices := store.read(lambda table: list(table.list_indices())):
        # An earlier version made one over the ids; by a damaged one rows are not found.
        with tables.changing(gallery, store), store.latest() as table:
            for each in indices:
                table.drop_index(each.name)
    finish_erasing(gallery, store)
    if manifest.format == tables.FORMAT:
        return manifest
    with tables.changing(gallery, store):
        store.upgrade()
        manifest = manifest.model_copy(update={"format": tables.FORMAT})
        tables.write_manifest(gallery, manifest)
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
