"""What a reader finds in a gallery after a kill, held against what must be there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kills.model import Held, Model, Operation

NOTHING = Operation("nothing", {})
PERMITTED = ("an erasure was interrupted", "left over from an interrupted write", "left over from another model")
"""Faults that `verify` may name between a kill and the next change."""


@dataclass
class Wrong:
    """What should not be, in words."""

    lost: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)
    came_back: list[str] = field(default_factory=list)

    def extend(self, other: "Wrong") -> None:
        self.lost += other.lost
        self.half += other.half
        self.came_back += other.came_back

    def __bool__(self) -> bool:
        return bool(self.lost or self.half or self.came_back)


def compare(
    facts: Mapping[str, Any], models: Sequence[Model], interrupted: Mapping[Model, Operation], *, written: bool
) -> Wrong:
    """Hold what a fresh process read against what must be there.

    Args:
        facts: what it read.
        models: what was acknowledged.
        interrupted: what was not, by the model that it is of.
        written: whether a change was made since the kill, so that nothing may be left over.
    """
    wrong, rows = Wrong(), facts["rows"]
    for identifier, times in Counter(facts["ids"]).items():
        if times > 1:
            wrong.half.append(f"{identifier} is there {times} times")
    if set(facts["ids"]) != set(rows):
        wrong.half.append("rows that are listed cannot be fetched")
    wrong.half += [f"{identifier}: its seal is broken" for identifier in facts["unsealed"]]
    wrong.half += [fault for fault in facts["faults"] if written or not any(each in fault for each in PERMITTED)]
    findable = set(rows) - set(facts["unfinished"])  # an erasure that has begun hides its rows
    if not facts["approximate"]:  # which need not find every row
        wrong.lost += [f"{each} is not found by a search" for each in findable - set(facts["found"])]
    wrong.came_back += [f"{each} is found by a search all the same" for each in set(facts["found"]) - findable]
    known: set[str] = set()
    allowed = {name for model in models for name in (model.model, interrupted.get(model, NOTHING).model or model.model)}
    if facts["model"] not in allowed:
        wrong.half.append(f"the gallery is of model {facts['model']}, not {sorted(allowed)}")
    for model in models:
        operation = interrupted.get(model, NOTHING)
        known |= set(model.rows) | set(operation.before)
        for identifier in set(model.rows) | set(operation.before):
            _compare_row(identifier, facts, model, operation, wrong)
        if operation.whole and len({each in rows for each in operation.before}) > 1:
            wrong.half.append(f"{operation.kind}: some of its rows are gone, others are not")
        if written and operation.kind == "erase" and set(facts["unfinished"]) & set(operation.before):
            wrong.came_back.append("erase: still not finished after another change")
    gone = set().union(*(model.gone for model in models))
    for identifier in set(rows) - known:
        (wrong.came_back if identifier in gone else wrong.half).append(f"{identifier}: a row that nobody added")
    return wrong


def _compare_row(identifier: str, facts: Mapping[str, Any], model: Model, operation: Operation, wrong: Wrong) -> None:
    found = facts["rows"].get(identifier)
    if identifier not in operation.before:
        held = [model.rows[identifier]]
    elif operation.model is not None:  # all rows change at one moment, together with the model
        held = [(operation.after if facts["model"] == operation.model else operation.before)[identifier]]
    else:
        held = [operation.before[identifier], operation.after[identifier]]
    expected = [None if each is None else each[0].fact(each[1], facts["model"]) for each in held]
    if found in expected:
        return
    if found is None:
        wrong.lost.append(f"{identifier} is gone")
    elif identifier in model.gone:
        wrong.came_back.append(f"{identifier} came back")
    else:
        differ = [sorted(name for name in found if each is None or found[name] != each[name]) for each in expected]
        wrong.half.append(f"{identifier}: {operation.kind}: differs by {differ}")


def reached(facts: Mapping[str, Any], model: Model, operation: Operation) -> dict[str, Held | None]:
    """How far an interrupted operation came: its rows as they are now."""
    model.model = facts["model"]
    now = {}
    for identifier, after in operation.after.items():
        is_after = facts["rows"].get(identifier) == (after and model.fact(after))
        now[identifier] = after if is_after else operation.before[identifier]
    return now


def traces(folder: Path, signs: Iterable[Mapping[str, bytes]], below: str = "") -> list[str]:
    """Files of a folder whose path has `below` in it, and that hold one of these signs in their bytes or names."""
    wanted = [(name, sign) for each in signs for name, sign in each.items()]
    found = []
    for file in (each for each in sorted(folder.rglob("*")) if below in str(each.relative_to(folder))):
        data = bytes(file.relative_to(folder)) + b"\n" + (file.read_bytes() if file.is_file() else b"")
        found += [f"{file.relative_to(folder)}: {name} of an erased row" for name, sign in wanted if sign in data]
    return found


def phase(before: frozenset[str], folder: Path) -> str:
    """How far a killed operation came, told by the files that it left."""
    made = file_names(folder) - before
    told = [name for name in ("erasing.json", "rebuild.json") if (folder / name).exists()]
    if any(".part" in name for name in made):
        told.append("half of a small file")
    if any("/_versions/" in name and name.endswith(".manifest") for name in made):
        told.append("rows committed")
    elif any(".lance/" in name for name in made):
        told.append("rows written, not committed")
    return " + ".join(told) or "nothing new on disk"


def file_names(folder: Path) -> frozenset[str]:
    """All files below a folder."""
    return frozenset(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
