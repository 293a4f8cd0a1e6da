"""Data sets by name. A new one is its file, one line here and a test."""

from collections.abc import Mapping
from pathlib import Path

from pickout.config import nearest
from pickout.data.annotation import Reader, to_data_set
from pickout.data.cuhk_pedes import CUHK_PEDES, STREET
from pickout.data.data_set import DataSet
from pickout.data.icfg_pedes import ICFG_PEDES
from pickout.data.own_data import TABLE
from pickout.data.rstpreid import RSTPREID
from pickout.errors import UsageError

DATASETS: Mapping[str, Reader] = {reader.name: reader for reader in (CUHK_PEDES, ICFG_PEDES, RSTPREID, TABLE, STREET)}
"""Every reader by its data set's name."""


def reader_of(name: str) -> Reader:
    """The reader of a data set.

    Raises:
        UsageError: no data set of that name.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown data set '{name}'{nearest(name, DATASETS)}")
    return DATASETS[name]


def open_data(name: str, root: Path) -> DataSet:
    """Read a data set. No image is opened.

    Args:
        name: one of `DATASETS`.
        root: the data set's own folder, or the folder that holds it under its usual name.

    Raises:
        UsageError: no data set of that name.
        DataMissing: the annotation file or the image folder is not there.
        AnnotationError: a record is wrong; the first one in the file is named.
    """
    return to_data_set(reader_of(name).read(root))
