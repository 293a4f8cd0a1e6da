"""What is searched for: sentences, pictures, what must not be there, and crops that are more or less like it."""

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from pickout.errors import ImageUnreadable, UsageError
from pickout.gallery.intake.picture import decode, read_file
from pickout.gallery.storage.rows import composed, row_id

LONGEST_SENTENCE = 10_000  # characters; a model reads far fewer
MOST = 32  # sentences, pictures or crops of one kind in a query at most
_PARTS = ("texts", "images", "without", "more_like", "less_like")
_FOR_EXAMPLE = "describe the person, for example 'a woman in a teal jacket'"


@dataclass(frozen=True, slots=True)
class Query:
    """A person as several sources describe them. At least one of `texts`, `images` and `more_like` is needed.
    `UsageError` for nothing to look for, too many parts, or a sentence that says nothing."""

    texts: Sequence[str] = ()  # descriptions of one person, for example by several witnesses; all count alike
    images: Sequence[Path | str | Image.Image] = ()  # the person, or someone who looks alike: paths, or pictures
    without: Sequence[str] = ()  # what the person does not wear or carry, for example `a backpack`
    more_like: Sequence[str] = ()  # crops that show the person, or someone who looks alike: ids or paths
    less_like: Sequence[str] = ()  # crops that are not meant: ids or paths

    def __post_init__(self) -> None:
        for name in _PARTS:
            parts = getattr(self, name)
            if isinstance(parts, str | Path | Image.Image):
                raise UsageError(f"{name}: expected a list, for example {name}=[...], found one {type(parts).__name__}")
            if len(parts) > MOST:
                raise UsageError(f"{name}: {len(parts)} in one query; give at most {MOST}")
            told = tuple(map(clean_sentence, parts)) if name in ("texts", "without") else tuple(parts)
            object.__setattr__(self, name, told)
        if not (self.texts or self.images or self.more_like):
            raise UsageError("nothing to look for; give a sentence, a picture or a crop to look for more of")

    @classmethod
    def of(cls, query: "Query | str") -> "Query":
        """A sentence as a query; a query as it is."""
        return cls(texts=[query]) if isinstance(query, str) else query

    @property
    def is_plain(self) -> bool:
        """Whether it is one sentence and nothing else."""
        return len(self.texts) == 1 and not (self.images or self.without or self.more_like or self.less_like)

    def words(self) -> str:
        """The query as one line for people."""
        parts = [" + ".join(self.texts)] if self.texts else []
        parts += [f"like the picture {_name(image)}" for image in self.images]
        parts += [f"like the crop {name}" for name in self.more_like]
        parts += [f"without {text}" for text in self.without]
        return ", ".join([*parts, *(f"unlike the crop {name}" for name in self.less_like)])

    def as_json(self) -> dict[str, list[str]]:
        """The parts that are set; a picture that is no file is told as such."""
        told = {name: [_name(part) for part in getattr(self, name)] for name in _PARTS}
        return {name: parts for name, parts in told.items() if parts}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Query":
        """The query that `as_json` wrote; a UsageError for anything else."""
        lists = all(isinstance(each, list) and all(isinstance(part, str) for part in each) for each in told.values())
        if not lists or not set(told) <= set(_PARTS):
            raise UsageError("this is no query: expected lists of text named " + ", ".join(_PARTS))
        return cls(**told)

    def savable(self) -> "Query":
        """The query with absolute paths of its pictures, to be kept; a UsageError for a picture that is no file."""
        if any(isinstance(image, Image.Image) for image in self.images):
            raise UsageError("a query with a picture that is no file cannot be saved; save the picture first")
        return replace(self, images=[Path(str(image)).absolute() for image in self.images])

    def pictures(self) -> list[Image.Image]:
        """Its pictures, decoded: upright and RGB; ImageUnreadable for a file that is missing, damaged or no image."""
        return [image if isinstance(image, Image.Image) else _read(Path(image)) for image in self.images]


def clean_sentence(sentence: str) -> str:
    """`sentence` on one line, blanks collapsed; a UsageError where it is no text, says nothing or is far too long."""
    try:
        sentence.encode()
    except UnicodeEncodeError:
        raise UsageError("the sentence is not valid Unicode text") from None
    letters = (" " if unicodedata.category(letter) == "Cc" else letter for letter in sentence)
    clean = " ".join("".join(letters).split())
    if not clean:
        raise UsageError(f"the sentence is empty; {_FOR_EXAMPLE}")
    if len(sentence) > LONGEST_SENTENCE:
        told = f"the sentence has {len(sentence)} characters"
        raise UsageError(f"{told}; describe the person in at most {LONGEST_SENTENCE}")
    if not any(letter.isalnum() for letter in clean):
        raise UsageError(f"'{clean[:40]}' holds no word; {_FOR_EXAMPLE}")
    return clean


def _read(file: Path) -> Image.Image:
    if not os.path.lexists(file):  # read_file speaks of files that an index run has just seen
        raise ImageUnreadable(file, "no such file")
    return decode(file, read_file(file)).image


def _name(part: object) -> str:
    return "(a picture that is no file)" if isinstance(part, Image.Image) else str(part)


def possible_paths(name: str) -> list[Path]:
    """Absolute paths that a crop called so can have; none where the name cannot be that of a file."""
    file = Path(name)
    try:
        # `pickout index` follows links and `..` in the path of its folder, but no link below it.
        places = (file.absolute(), Path(os.path.realpath(file.parent)) / file.name, Path(os.path.realpath(file)))
    except (ValueError, OSError):  # no text that a file system knows; or the current folder is gone
        return []
    return list(dict.fromkeys(places))


def possible_ids(name: str) -> list[str]:
    """Ids that a crop called so can have: the name itself, or those of its possible paths."""
    return [name, *map(row_id, possible_paths(name))]


def is_end(name: str, file: Path) -> bool:
    """Whether a name is a file's path, or the end of it from a folder on, in either of Unicode's forms."""
    whole, end = composed(str(file)), composed(str(Path(name)))
    return whole == end or whole.endswith(f"/{end}")
