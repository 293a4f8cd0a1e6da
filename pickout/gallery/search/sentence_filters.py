"""A sentence read for its filters: cameras by the gallery's own names, and times. What is not certain stays in it."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pickout.errors import UsageError
from pickout.gallery.search.filters import ANYWHERE, Where

_NEAR = r"(?:near|at|by|beside|outside|inside|around|from|in|on)(?:\s+the)?"
_NOT = r"(?:not|never|but\s+not|except|other\s+than)"
_CLOCK = r"(?:(?:[01]?\d|2[0-3]):[0-5]\d(?:\s*[ap]\.?m\b\.?)?|(?:1[0-2]|0?[1-9])\s*[ap]\.?m\b\.?|noon|midnight)"
_FIRST_HALF = ("january", "february", "march", "april", "may", "june")
_MONTHS = (*_FIRST_HALF, "july", "august", "september", "october", "november", "december")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH = "(?:" + "|".join(f"{name}|{name[:3]}" for name in _MONTHS) + r")\b\.?"
_DATE = (
    rf"\d{{4}}-\d\d-\d\d|\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+\d{{4}})?"
    rf"|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?"
)
_DAY = rf"(?:today|yesterday|(?:last\s+)?(?:{'|'.join(_WEEKDAYS)})|{_DATE})"
_PARTS = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 22), "night": (22, 30)}
_PART = "|".join(_PARTS)
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(7)}
_CLOTHES = re.compile(
    r"\b(red|blue|green|black|white|gr[ea]y|brown|yellow|orange|pink|purple|beige|teal|jacket|coat|shirt|jeans|dress|suit"
    r"|hat|cap|hood|bag|backpack|rucksack|uniform|skirt|shorts|trousers|shoes|boots|front|back|left|right|middle)\b"
)  # words that describe a person: a camera of such a name is only meant where the sentence says `camera`
_GOES_ON = re.compile(
    rf"[,.;]|and\b|or\b|after|before|between|since|until|during|{_NOT}|with|who|wearing|carrying|in\s+a|{_DAY}|on\b|this|last"
    rf"|{_NEAR}"
)  # what may follow a place


@dataclass(frozen=True, slots=True)
class Parse:
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
        found = re.search(rf"(?:,\s*)?\b{pattern}(?![\w'])", left, re.IGNORECASE)
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
        is_place = not any(map(_CLOTHES.search, found)) and (not behind or _GOES_ON.match(behind))
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
    if weekday in _WEEKDAYS:
        back = (today.weekday() - _WEEKDAYS.index(weekday)) % 7
        return today - timedelta(days=7 if back == 0 and text != weekday else back)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return datetime.fromisoformat(text)
    numbers = [int(each) for each in re.findall(r"\d+", text)]
    letters = re.findall(r"[a-z]{3,}", re.sub(r"\d+(?:st|nd|rd|th)", "", text))
    month = next(number for number, name in enumerate(_MONTHS, 1) if any(name.startswith(w[:3]) for w in letters))
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
    start = _day(match["day"], now)
    if match["clock"] is None:
        whole = match["way"].lower() == "after"  # after Monday: from Tuesday on
        return Where(after=start + timedelta(days=whole)) if match["way"].lower() not in _UNTIL else Where(before=start)
    moment = start + _clock(match["clock"])
    end = start + timedelta(days=1)
    # "after 3 pm yesterday" speaks of that day.
    return Where(before=moment, after=start) if match["way"].lower() in _UNTIL else Where(after=moment, before=end)


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
    first, last = (start + timedelta(hours=hours) for hours in _PARTS.get(part, (0, 24)))
    return Where(during=[(first, last)])


def _ago(match: re.Match[str], now: datetime) -> Where | None:
    said = (match["number"] or "1").strip().lower()
    if said == "few":
        return None
    return Where(after=now - ({"two": 2, "three": 3}.get(said) or int(said)) * _UNITS[match["unit"].lower()])


_UNTIL = ("before", "until", "till")
_WAY = rf"(?P<way>after|since|from|{'|'.join(_UNTIL)})"
_ON = rf"(?:on\s+)?(?P<day>{_DAY})"
_RANGE = rf"(?:between|from)\s+(?P<first>{_CLOCK}|\d{{1,2}})\s+(?:and|to|until)\s+(?P<second>{_CLOCK})"
_SINCE = rf"{_WAY}\s+(?P<clock>{_CLOCK})"
_NUMBER = r"(?P<number>\d{1,3}\s+|few\s+|two\s+|three\s+)"
_TIMES: tuple[tuple[str, Callable[[re.Match[str], datetime], Where | None]], ...] = (
    (rf"{_RANGE}\s*,?\s*{_ON}", _between),
    (rf"{_ON}\s*,?\s*{_RANGE}", _between),
    (rf"{_SINCE}\s*,?\s*{_ON}", _since),
    (rf"{_ON}\s*,?\s*{_SINCE}", _since),
    (rf"{_WAY}(?P<clock>)??\s+(?P<day>{_DAY})(?!\s*(?:{_PART}|at\b))", _since),
    (rf"(?:on\s+|in\s+the\s+)?(?P<day>this|last)\s+(?P<part>{_PART})", _part),
    (rf"{_ON}(?:\s+(?P<part>{_PART}))?(?!\s*(?:at|around|about)\b)", _part),
    (rf"(?:in|within|during|over)\s+the\s+(?:last|past)\s+{_NUMBER}?(?P<unit>{'|'.join(_UNITS)})s?", _ago),
)
"""Kinds of time, the most telling first."""
_OPEN = re.compile(
    rf"(?:,\s*)?(?:\band\s+)?\b(?:(?P<range>{_RANGE}|{_SINCE})|(?:in\s+the|at)\s+(?P<part>{_PART})"
    rf"(?=\s*(?:$|{_GOES_ON.pattern}))|(?:at|around|about)\s+(?:about\s+)?{_CLOCK})(?:,?\s+{_ON})?"
    r"(?![\w'])",
    re.IGNORECASE,
)
_MOMENT = "from when until when?"


def _completed(match: re.Match[str]) -> str:
    """The time with a place for the day that it lacks."""
    if match["day"] or not (match["range"] or match["part"]):
        return ""
    return f"{match['range']} on {{day}}" if match["range"] else f"on {{day}} {match['part']}"
