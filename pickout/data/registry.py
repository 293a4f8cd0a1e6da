"""Data sets by name. A new one in the field's usual form is an entry here and a test; another form is a reader too."""

from collections.abc import Mapping
from pathlib import Path

from pickout.config import nearest
from pickout.data.annotation import Counts, Reader, to_data_set
from pickout.data.caption_folder import CaptionFolder
from pickout.data.data_set import DataSet
from pickout.data.own_data import TABLE
from pickout.errors import UsageError

_CUHK_CAMERA = r"(?:^|/)(cam_\w+)/"
"""`cam_a` from `cam_a/001.jpg`. The other folders of CUHK-PEDES are source data sets, not cameras."""
_READERS = (
    CaptionFolder(
        name="cuhk-pedes",
        title="CUHK-PEDES",
        request="Request it from its authors, for academic use: "
        "https://github.com/ShuangLI59/Person-Search-with-Natural-Language-Description",
        folder="CUHK-PEDES",
        files=("reid_raw.json",),
        # Counted in the released file; papers print 80,412 captions, two an image, but nine images have more.
        published={
            "train": Counts(11_003, 34_054, 68_126),
            "val": Counts(1_000, 3_078, 6_158),
            "test": Counts(1_000, 3_074, 6_156),
        },
        camera=_CUHK_CAMERA,
    ),
    # Its image folders `train` and `test` are MSMT17's, not the split; the field `split` decides.
    CaptionFolder(
        name="icfg-pedes",
        title="ICFG-PEDES",
        request="Request it from its authors, for academic use: https://github.com/zifyloo/SSAN",
        folder="ICFG-PEDES",
        files=("ICFG-PEDES.json", "ICFG_PEDES.json"),
        published={"train": Counts(3_102, 34_674, 34_674), "test": Counts(1_000, 19_848, 19_848)},
        # `c01` from MSMT17's `0000_000_01_0303morning_0008_0.jpg`: person, image, camera, time of day, frame.
        camera=r"(?:^|/)\d+_\d+_(\d+)_\d{4}(?:morning|noon|afternoon)",
        camera_prefix="c",
    ),
    CaptionFolder(
        name="rstpreid",
        title="RSTPReid",
        request="Its authors give it at https://github.com/NjtechCVLab/RSTPReid-Dataset",
        folder="RSTPReid",
        files=("data_captions.json",),
        path_field="img_path",
        image_folders=("imgs", "crops"),
        published={
            "train": Counts(3_701, 18_505, 37_010),
            "val": Counts(200, 1_000, 2_000),
            "test": Counts(200, 1_000, 2_000),
        },
        camera=r"(?:^|/)\d+_(c\d+)_",  # `c5` from `0000_c5_0022.jpg`: person, camera, frame
    ),
    TABLE,
    CaptionFolder(  # written in the format of CUHK-PEDES
        name="street",
        title="A drawn street",
        request="Draw one: pickout data draw FOLDER",
        folder="street",
        files=("reid_raw.json",),
        camera=_CUHK_CAMERA,
    ),
)
DATASETS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
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
