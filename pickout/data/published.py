"""What the authors of the data sets published: sizes, and where a set can be requested."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a split holds.

    Args:
        identities: different people.
        images: records of the annotation file.
        captions: over all images.
    """

    identities: int
    images: int
    captions: int


@dataclass(frozen=True, slots=True)
class Published:
    """A data set as published.

    Args:
        title: its name in papers.
        request: where it can be had, one sentence.
        splits: the size of each split as the released files count; empty where there is nothing to compare with.
    """

    title: str
    request: str
    splits: Mapping[str, Counts] = field(default_factory=dict)


# Counted in the released annotation files; papers print other totals here and there (CUHK-PEDES: 80,412 captions,
# two an image, but nine images have more).
PUBLISHED: Mapping[str, Published] = {
    "cuhk-pedes": Published(
        "CUHK-PEDES",
        "Request it from its authors, for academic use: "
        "https://github.com/ShuangLI59/Person-Search-with-Natural-Language-Description",
        {
            "train": Counts(11_003, 34_054, 68_126),
            "val": Counts(1_000, 3_078, 6_158),
            "test": Counts(1_000, 3_074, 6_156),
        },
    ),
    "icfg-pedes": Published(
        "ICFG-PEDES",
        "Request it from its authors, for academic use: https://github.com/zifyloo/SSAN",
        {"train": Counts(3_102, 34_674, 34_674), "test": Counts(1_000, 19_848, 19_848)},
    ),
    "rstpreid": Published(
        "RSTPReid",
        "Its authors give it at https://github.com/NjtechCVLab/RSTPReid-Dataset",
        {
            "train": Counts(3_701, 18_505, 37_010),
            "val": Counts(200, 1_000, 2_000),
            "test": Counts(200, 1_000, 2_000),
        },
    ),
    "street": Published("A drawn street", "Draw one: pickout data draw FOLDER"),
    "table": Published(
        "Own data", "Write a table.csv, table.jsonl or table.parquet beside your images, a row for each caption."
    ),
}
