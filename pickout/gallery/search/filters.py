"""Which crops a search looks at: several values, negation, ranges of time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from pickout.errors import UsageError, listed
from pickout.gallery.storage.rows import FACETS, LABEL, NO_FACET, Facet, Resident, composed, parse_time, without_zone
from pickout.gallery.vectors.exact import Mask

_LISTED = 20  # known names that an error lists at most
_COLLECTIONS = ("cameras", "not_cameras", "tracks", "not_tracks", "videos", "not_videos")

Range = tuple[datetime, datetime]
Labels = Mapping[str, str | Collection[str]]


@dataclass(frozen=True, slots=True)
class Where:
    """Which crops a search looks at: those that pass all of these. A crop whose camera, track, video, label or time is
    unknown fails a filter that asks for one, and passes a filter that only rules some out. `UsageError` for a range
    that ends before it begins, or something that is both asked for and ruled out."""

    cameras: Collection[str] = ()  # any of these; empty: any, known or not
    after: datetime | None = None  # taken at this time or later
    before: datetime | None = None  # taken earlier than this time
    during: Sequence[Range] = ()  # taken in any of these ranges, from the first time up to but not including the second
    not_cameras: Collection[str] = ()  # none of these
    tracks: Collection[str] = ()
    not_tracks: Collection[str] = ()
    videos: Collection[str] = ()  # source videos
    not_videos: Collection[str] = ()
    labels: Labels = field(default_factory=dict)  # for each name, one value or several of which any will do
    not_labels: Labels = field(default_factory=dict)  # for each name, values that rule a crop out

    def __post_init__(self) -> None:
        for name in _COLLECTIONS:
            names = getattr(self, name)
            if isinstance(names, str):
                raise UsageError(f"{name}='{names}': expected a list of names, for example ['{names}']")
            object.__setattr__(self, name, _texts(name, names))
        for name in ("labels", "not_labels"):
            labels = getattr(self, name)
            if not isinstance(labels, Mapping):
                raise UsageError(f"{name}: expected names with values, for example {{'colour': ['teal', 'blue']}}")
            lists = {key: [values] if isinstance(values, str) else values for key, values in labels.items()}
            _texts(name, lists)
            object.__setattr__(self, name, {key: _texts(key, values) for key, values in lists.items()})
        try:
            for name in ("after", "before"):
                time = getattr(self, name)
                object.__setattr__(self, name, None if time is None else without_zone(time))
            object.__setattr__(self, "during", tuple(_range(start, stop) for start, stop in self.during))
        except (TypeError, AttributeError, OverflowError, ValueError) as error:
            raise UsageError(f"a time that is none, or beyond the calendar ({error}); give datetimes") from None
        if self.after is not None and self.before is not None:
            _range(self.after, self.before)
        for what, wanted, unwanted in self.named():
            for name in sorted(_composed(wanted) & _composed(unwanted)):
                raise UsageError(f"{what.removeprefix(LABEL)} '{name}' is both asked for and ruled out; drop one")

    def named(self) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Each facet that is filtered: its name in `Resident.facets`, the values asked for, the values ruled out."""
        pairs = [(what, getattr(self, f"{what}s"), getattr(self, f"not_{what}s")) for what in FACETS]
        names = sorted({*self.labels, *self.not_labels})
        pairs += [(LABEL + name, self.labels.get(name, ()), self.not_labels.get(name, ())) for name in names]
        return [(what, tuple(wanted), tuple(unwanted)) for what, wanted, unwanted in pairs if wanted or unwanted]

    def beside(self, given: "Where") -> "Where":
        """These filters where `given` sets none of the same kind; a UsageError where both contradict each other."""
        own, theirs, times = self.as_json(), given.as_json(), {"after", "before", "during"}
        if theirs.keys() & times:
            own = {name: value for name, value in own.items() if name not in times}
        return Where.from_json(own | theirs)

    def as_json(self) -> dict[str, Any]:
        """The filters that are set, by name, with plain values; `Where.from_json` reads them."""
        told: dict[str, Any] = {name: sorted(getattr(self, name)) for name in _COLLECTIONS}
        for name in ("labels", "not_labels"):
            told[name] = {key: list(values) for key, values in sorted(getattr(self, name).items())}
        told |= {name: time.isoformat() for name in ("after", "before") if (time := getattr(self, name))}
        told["during"] = [f"{start.isoformat()}/{stop.isoformat()}" for start, stop in self.during]
        return {name: value for name, value in told.items() if value}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Where":
        """The filters that `as_json` wrote; a UsageError for anything else."""
        values = dict(told)
        try:
            values |= {name: parse_time(values[name]) for name in ("after", "before") if name in values}
            values["during"] = [parse_range(text) for text in values.get("during", ())]
            return cls(**values)
        except (TypeError, AttributeError, ValueError) as error:
            raise UsageError(f"these are no filters: {error}") from None

    def words(self) -> list[str]:
        """Each filter in a few words, for people."""
        told = []
        for what, wanted, unwanted in self.named():
            told += [f"{what.removeprefix(LABEL)} {' or '.join(sorted(wanted))}"] if wanted else []
            told += [f"not {what.removeprefix(LABEL)} {' or '.join(sorted(unwanted))}"] if unwanted else []
        told += [f"after {self.after.isoformat(' ')}"] if self.after else []
        told += [f"before {self.before.isoformat(' ')}"] if self.before else []
        return told + [f"from {start.isoformat(' ')} to {stop.isoformat(' ')}" for start, stop in self.during]


def _texts(what: str, values: Collection[str]) -> tuple[str, ...]:
    """Names, each once; a UsageError for one that is no text or cannot be written down."""
    try:
        for value in values:
            value.encode()
        return tuple(dict.fromkeys(values))
    except (TypeError, AttributeError, UnicodeEncodeError) as error:
        raise UsageError(f"{what}: expected names that are text and can be written down ({error})") from None


def parse_range(text: str) -> Range:
    """A range of time as ISO 8601 writes it, `2026-03-01T08:00/2026-03-01T10:30`; a UsageError for anything else."""
    if "/" not in text:
        raise UsageError(f"'{text}' is no range of time; write 2026-03-01T08:00/2026-03-01T10:30")
    return _range(*map(parse_time, text.split("/", 1)))


def parse_labels(pairs: Collection[str]) -> dict[str, list[str]]:
    """Labels from `name=value` words; equal names collect their values. A UsageError for a word without `=`."""
    labels: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, value = (part.strip(" \t") for part in pair.partition("="))  # other blanks belong to the names
        if not name or not value:
            raise UsageError(f"label '{pair}': expected NAME=VALUE, for example colour=teal")
        labels.setdefault(name, []).append(value)
    return labels


def check_where(where: Where, resident: Resident) -> None:
    """Refuse a name that no crop has, asked for or ruled out, most likely misspelt; tells the known ones."""
    for what, wanted, unwanted in where.named() if len(resident.ids) else ():
        names = _facet(what, resident).names
        for name in (*wanted, *unwanted):
            if composed(name) not in _composed(names):
                raise UsageError(_unknown(what, name, names, resident))


def allowed(where: Where, resident: Resident) -> Mask | None:
    """Which rows pass the filters (N,), none of those that are hidden; None when all do."""
    if not where.as_json() and resident.hidden is None:
        return None
    passed = np.ones(len(resident.ids), dtype=np.bool_) if resident.hidden is None else ~resident.hidden
    for what, wanted, unwanted in where.named():
        facet, kept, ruled_out = _facet(what, resident), _composed(wanted), _composed(unwanted)
        if facet.names:
            names = map(composed, facet.names)
            # A row without a name has position -1, the last entry: it is not asked for, and not ruled out.
            keeps = [(not kept or name in kept) and name not in ruled_out for name in names]
            passed &= np.take(np.array([*keeps, not wanted]), facet.positions, mode="wrap")
        elif wanted:
            return np.zeros_like(passed)
    bounded = where.after is not None or where.before is not None
    bounds = [(where.after or datetime.min, where.before or datetime.max)] if bounded else []
    for ranges in (bounds, where.during):
        if ranges:
            # From a range's start up to but not including its stop; without time, never.
            starts, stops = np.array(ranges, "datetime64[us]").T
            times_N1 = resident.times[:, None]
            passed &= ((times_N1 >= starts) & (times_N1 < stops)).any(axis=1)
    return passed


def _range(start: datetime, stop: datetime) -> Range:
    start, stop = without_zone(start), without_zone(stop)
    if start >= stop:
        raise UsageError(f"no time is after {start.isoformat()} and before {stop.isoformat()}; swap them or widen")
    return start, stop


def _composed(names: Collection[str]) -> set[str]:
    return set(map(composed, names))


def _facet(what: str, resident: Resident) -> Facet:
    """What the crops say about one thing, whichever of Unicode's forms a label's name has."""
    same = (facet for name, facet in resident.facets.items() if composed(name) == composed(what))
    return resident.facets.get(what) or next(same, NO_FACET)


def _unknown(what: str, name: str, known: Sequence[str], resident: Resident) -> str:
    label = what.removeprefix(LABEL) if what.startswith(LABEL) else None
    if known:
        kind, of = ("value", f"label {label}: ") if label is not None else (what, "")
        return f"{of}unknown {kind} '{name}'; known {kind}s: {listed(known, _LISTED)}"
    if label is None:
        how = "pickout index --camera-from or --table" if what == "camera" else f"a column '{what}' of --table"
        return f"unknown {what} '{name}'; no crop here has a {what}; {how} gives it"
    labels = [each.removeprefix(LABEL) for each in resident.facets if each.startswith(LABEL)]
    have = f"known labels: {listed(labels, _LISTED)}" if labels else "no crop here has a label; see --table"
    return f"unknown label '{label}'; {have}"


ANYWHERE = Where()  # no filter
