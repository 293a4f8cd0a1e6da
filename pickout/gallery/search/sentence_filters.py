"""A sentence read for its filters: cameras by the gallery's own names, and times. What is not certain stays in it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pickout.errors import UsageError
from pickout.files import packaged_table
from pickout.gallery.search.filters import ANYWHERE, Where

_TABLES = packaged_table("pickout.gallery.search", "sentence_filters.toml")
_UNTIL = _TABLES["until"]


def _filled(pattern: str) -> str:
    """A pattern with those that it names in their places."""
    return re.sub(r"{([a-z]+)}", lambda named: _filled(_TABLES["patterns"][named[1]]), pattern)


_NEAR, _NOT = _filled("{near}"), _filled("{not}")
_CLOTHES, _REST = re.compile(_filled("{clothes}")), re.compile(_filled("{rest}"))
_OPEN = re.compile(_filled("{open}"), re.IGNORECASE)
_MOMENT = "from when until when?"
_ALIKE = str.maketrans("ıİſ\N{KELVIN SIGN}", "iisk")  # letters that a pattern without regard to case takes for ASCII's


class Parse(NamedTuple):
    """What a sentence says: the person, the filters, and the pieces that became filters with their meaning."""

    description: str
    where: Where
    read: tuple[tuple[str, str], ...] = ()
    open: tuple[tuple[str, str], ...] = ()
    """Times that are no filter yet, taken out as well, and how each is said with its day (`{day}`); "" for a moment, or
    a time beside another, which `after` and `before` must say."""

    def as_json(self) -> dict[str, Any]:
        """With plain values, to be shown and changed."""
        read = [{"text": text, "meaning": meaning} for text, meaning in self.read]
        asked = [{"text": text, "complete": complete} for text, complete in self.open]
        return {"description": self.description, "where": self.where.as_json(), "read": read, "open": asked}

    def notes(self) -> list[str]:
        """What was not searched for, and what is missing."""
        return [f"'{text}' is no filter yet: {'of which day?' if day else _MOMENT}" for text, day in self.open]


def read_filters(sentence: str, cameras: Sequence[str], now: datetime) -> Parse:
    """Split a sentence, as `a man near the lobby after 3 pm yesterday`, into the description of a person and filters.
    `cameras` are the gallery's, `now` is in the zone of its times. What is not certain stays in the description. Only
    times, which describe nobody, are left open."""
    left, where, wanted, unwanted = sentence, ANYWHERE, list[str](), list[str]()
    read: list[tuple[str, str]] = []

    def take(match: re.Match[str], meaning: str) -> None:
        nonlocal left
        left = left[: match.start()] + " " * len(match[0]) + left[match.end() :]
        read.append((match[0].strip(" ,"), meaning))

    for match, names in _find_cameras(sentence, cameras):
        (unwanted if match["not"] else wanted).extend(names)
        take(match, f"{'not ' if match['not'] else ''}camera {' or '.join(names)}")
    for pattern, meaning in _TIMES:
        found = re.search(rf"(?:,\s*)?\b{pattern}(?![\w'])", left.translate(_ALIKE), re.IGNORECASE)
        try:
            told = found and meaning(found, now)
        except (UsageError, ValueError, OverflowError):
            continue
        if found and told:
            where = told
            take(found, ", ".join(where.words()))
            break
    still = tuple((re.sub(r"^[\s,]*(and\s)?\s*", "", match[0]), _completed(match)) for match in _OPEN.finditer(left))
    left = _OPEN.sub(" ", left)
    left = re.sub(r"^[\s,;]+|[\s,;]+$", "", re.sub(r"\s+([,.;])", r"\1", " ".join(left.split())))
    with suppress(UsageError):  # filters that exclude each other: the sentence means something else
        if (read or still) and re.search(r"\w", left):
            return Parse(left, replace(where, cameras=wanted, not_cameras=unwanted), tuple(read), still)
    return Parse(sentence, ANYWHERE)


def _find_cameras(sentence: str, cameras: Sequence[str]) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Places in the sentence that are cameras of the gallery; longer names first."""
    spelt: dict[str, list[str]] = {}
    for name in cameras:
        spelt.setdefault(_plain(name), []).append(name)
    plain = sorted((each for each in spelt if each), key=len, reverse=True)
    if not plain:
        return
    name = "(?:" + "|".join(re.escape(each).replace(r"\ ", r"[\s_.-]+") for each in plain) + ")"
    one = rf"(?:(?:camera\s+)?{name}(?:\s+camera)?)"
    several = rf"{one}(?:(?:\s*,\s*|\s+or\s+|\s*,\s*or\s+)(?:{_NEAR}\s+|the\s+)?{one})*"
    pattern = rf"(?:,\s*)?\b(?P<not>{_NOT}\s+)?(?P<how>{_NEAR}|camera)\s+(?P<names>{several})(?!\s*['-]?\w*(?<=of))\b"
    for match in re.finditer(pattern, sentence, re.IGNORECASE):
        found = [_plain(each) for each in re.findall(name, match["names"], re.IGNORECASE)]
        behind = sentence[match.end() :].strip().lower()
        # "in the lobby uniform", "at the gate post": a noun may follow, and then something else is meant.
        is_place = not any(map(_CLOTHES.search, found)) and (not behind or _REST.match(behind))
        if all(len(spelt[each]) == 1 for each in found) and ("camera" in match[0].lower() or is_place):
            yield match, [spelt[each][0] for each in found]


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_.-]+", name.lower().strip()))


def _day(text: str, now: datetime) -> datetime:
    """The start of a day; without a year, the last one that has begun."""
    text, today = text.lower().strip(), now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        return today - timedelta(days=text == "yesterday")
    weekday = text.removeprefix("last").strip()
    if weekday in _TABLES["weekdays"]:
        back = (today.weekday() - _TABLES["weekdays"].index(weekday)) % 7
        return today - timedelta(days=7 if back == 0 and text != weekday else back)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return datetime.fromisoformat(text)
    numbers = [int(each) for each in re.findall(r"\d+", text)]
    letters = re.findall(r"[a-z]{3,}", re.sub(r"\d+(?:st|nd|rd|th)", "", text))
    months = enumerate(_TABLES["months"], 1)
    month = next(number for number, name in months if any(name.startswith(word[:3]) for word in letters))
    if len(numbers) == 2:
        return datetime(numbers[1], month, numbers[0])
    found = datetime(now.year, month, numbers[0])
    return found if found <= now else found.replace(year=now.year - 1)


def _clock(text: str, *, like: str = "") -> timedelta:
    """The time since midnight; `2` of `between 2 and 4 pm` is like `4 pm`."""
    text = text.lower().replace(".", "").strip()
    if text in ("noon", "midnight"):
        return timedelta(hours=12 if text == "noon" else 0)
    half = re.search(r"[ap]m", text) or re.search(r"[ap]m", like.lower().replace(".", ""))
    hours, _, minutes = re.sub(r"\s*[ap]m", "", text).partition(":")
    hour = int(hours)
    if half and hour > 12:
        raise ValueError(text)
    if half:
        hour = hour % 12 + (12 if half[0] == "pm" else 0)
    return timedelta(hours=hour, minutes=int(minutes or 0))


def _since(match: re.Match[str], now: datetime) -> Where | None:
    start, way = _day(match["day"], now), match["way"].lower()
    if match["clock"] is None:
        # after Monday: from Tuesday on
        return Where(before=start) if way in _UNTIL else Where(after=start + timedelta(days=way == "after"))
    moment = start + _clock(match["clock"])
    # "after 3 pm yesterday" speaks of that day.
    return Where(before=moment, after=start) if way in _UNTIL else Where(after=moment, before=start + timedelta(days=1))


def _between(match: re.Match[str], now: datetime) -> Where | None:
    day = _day(match["day"], now)
    return Where(during=[(day + _clock(match["first"], like=match["second"]), day + _clock(match["second"]))])


def _part(match: re.Match[str], now: datetime) -> Where | None:
    day, part = match["day"].lower(), (match["part"] or "").lower()
    if re.search(r"(?:\d|[ap]\.?m\.?|noon|midnight|o'clock)[\s,]*$", match.string[: match.start()], re.IGNORECASE):
        return None  # a moment of that day, which is no range
    if day == "last" and part != "night":
        return None  # last morning: of today or of yesterday?
    start = _day({"this": "today", "last": "yesterday"}.get(day, day), now)
    first, last = (start + timedelta(hours=hours) for hours in _TABLES["hours"].get(part, (0, 24)))
    return Where(during=[(first, last)])


def _ago(match: re.Match[str], now: datetime) -> Where | None:
    said = (match["number"] or "1").strip().lower()
    if said == "few":
        return None
    count = _TABLES["numbers"].get(said) or int(said)
    return Where(after=now - timedelta(**{f"{match['unit'].lower()}s": count}))


_MEANINGS = {"between": _between, "since": _since, "part": _part, "ago": _ago}
_TIMES = [(_filled(pattern), _MEANINGS[kind]) for kind, patterns in _TABLES["times"].items() for pattern in patterns]


def _completed(match: re.Match[str]) -> str:
    """The time with a place for the day that it lacks."""
    if match["day"] or not (match["range"] or match["part"]):
        return ""
    return f"{match['range']} on {{day}}" if match["range"] else f"on {{day}} {match['part']}"
