import pytest
import torch

from pickout.checkpoints.weight_file import KeyReport, compare
from pickout.errors import CheckpointMismatch

EXPECTED = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(4), "head": torch.zeros(5)}


def test_every_tensor_and_every_key_lands_in_exactly_one_place() -> None:
    found = {"a": torch.zeros(2), "b": torch.zeros(9), "d": torch.zeros(1)}
    begun = KeyReport("file", "a test", left_over=("odd",), ignored={"scale": "not used"}, fresh={"head": "new"})
    report = compare(begun, found, EXPECTED)
    assert report.loaded == ("a",)
    assert report.missing == ("c",)
    assert report.left_over == ("odd", "d")
    assert report.unfit == {"b": "(9,), expected (3,)"}
    with pytest.raises(CheckpointMismatch) as caught:
        report.require_complete()
    for part in ("file", "a test", "1 missing: c", "2 left over: odd, d", "b ((9,), expected (3,))"):
        assert part in str(caught.value)


def test_a_complete_report_passes_and_sums_up() -> None:
    report = compare(
        KeyReport("file", "a test", ignored={"x": "dead", "y": "dead"}, resized={"a": "cut"}), EXPECTED, EXPECTED
    )
    report.require_complete()
    assert report.summary() == "a test: 4 tensors loaded; a cut; 2 ignored (dead)"


def test_a_long_list_is_cut() -> None:
    expected = {f"layer.{i}": torch.zeros(1) for i in range(20)}
    with pytest.raises(CheckpointMismatch, match=r"20 missing: layer\.0, .* and 14 more"):
        compare(KeyReport("file", "a test"), {}, expected).require_complete()
