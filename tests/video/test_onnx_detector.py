"""The three layouts of exported detectors, with small drawn graphs that always see the same people."""

import numpy as np
import onnx
import pytest
from block_people import write_video
from onnx import TensorProto, helper, numpy_helper

from pickout.errors import VideoError
from pickout.video.extraction import ExtractionSettings
from pickout.video.harvest import harvest
from pickout.video.onnx_detector import OnnxDetector
from pickout.video.recordings import find_recordings

IMAGE = np.zeros((120, 160, 3), np.uint8)


def graph(file, inputs, outputs):
    """A model whose outputs are constants; its inputs are read and forgotten."""
    nodes = [helper.make_node("Identity", [f"c_{name}"], [name]) for name in outputs]
    made = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in outputs.items()
        ],
        [numpy_helper.from_array(value, f"c_{name}") for name, value in outputs.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(file))
    return file


def rfdetr(file, person=1, classes=91):
    boxes = np.array([[[0.5, 0.5, 0.25, 0.5], [0.1, 0.2, 0.1, 0.2]]], np.float32)
    logits = np.full((1, 2, classes), -9, np.float32)
    logits[0, 0, person] = 3.0
    logits[0, 1, 17] = 5.0  # no person
    return graph(file, {"input": (TensorProto.FLOAT, [1, 3, 64, 64])}, {"dets": boxes, "labels": logits})


def dfine(file):
    inputs = {"images": (TensorProto.FLOAT, [1, 3, 64, 64]), "orig_target_sizes": (TensorProto.INT64, [1, 2])}
    outputs = {
        "labels": np.array([[0, 5, 0]], np.int64),
        "boxes": np.array([[[60, 30, 100, 90], [0, 0, 9, 9], [1, 1, 2, 2]]], np.float32),
        "scores": np.array([[0.9, 0.99, 0.02]], np.float32),
    }
    return graph(file, inputs, outputs)


def yolox(file, size=64):
    cells = sum((size // stride) ** 2 for stride in (8, 16, 32))
    rows = np.zeros((1, cells, 85), np.float32)
    # The person's middle lies in the cell (4, 3) of the first grid; 160x120 fits into 64x48 of the field: 0.4 of it.
    rows[0, 3 * 8 + 4, :6] = (0, 0, np.log(40 * 0.4 / 8), np.log(60 * 0.4 / 8), 0.9, 1.0)
    return graph(file, {"images": (TensorProto.FLOAT, [1, 3, size, size])}, {"output": rows})


@pytest.mark.parametrize(("make", "score"), [(rfdetr, 1 / (1 + np.exp(-3))), (dfine, 0.9), (yolox, 0.9)])
def test_each_layout_gives_the_person_in_the_frames_pixels(tmp_path, make, score):
    found = OnnxDetector(make(tmp_path / "m.onnx")).detect(IMAGE)
    assert found.xyxy == pytest.approx(np.array([[60, 30, 100, 90]], np.float32), abs=0.01)
    assert found.confidence == pytest.approx([score], abs=1e-5)


def test_a_head_of_eighty_classes_has_the_person_first(tmp_path):
    assert len(OnnxDetector(rfdetr(tmp_path / "m.onnx", person=0, classes=80)).detect(IMAGE)) == 1


def test_files_that_are_no_detector_are_told(tmp_path):
    with pytest.raises(VideoError, match=r"none\.onnx"):
        OnnxDetector(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(VideoError, match=r"text\.onnx"):
        OnnxDetector(tmp_path / "text.onnx")
    file = graph(
        tmp_path / "other.onnx",
        {"x": (TensorProto.FLOAT, [1, 3, 8, 8])},
        {"a": np.zeros(3, np.float32), "b": np.zeros(3, np.float32)},
    )
    with pytest.raises(VideoError, match="RF-DETR, D-FINE or YOLOX"):
        OnnxDetector(file)
    wrong = graph(
        tmp_path / "wrong.onnx",
        {"images": (TensorProto.FLOAT, [1, 3, 64, 64])},
        {"o": np.zeros((1, 7, 85), np.float32)},
    )
    with pytest.raises(VideoError, match="not decoded"):
        OnnxDetector(wrong).detect(IMAGE)


def test_recordings_in_parallel_give_what_they_give_one_by_one(tmp_path):
    detector = str(dfine(tmp_path / "m.onnx"))
    for name in ("a", "b", "c"):
        write_video(
            tmp_path / "in" / f"{name}.mkv" if (tmp_path / "in").mkdir(exist_ok=True) is None else "", seconds=2
        )
    (tmp_path / "in" / "bad.mp4").write_text("nothing")
    found = find_recordings([str(tmp_path / "in")])
    settings = ExtractionSettings(motion=False)
    reports = [harvest(found, tmp_path / f"out{workers}", detector, settings, workers=workers) for workers in (1, 3)]
    assert reports[0].as_json() == reports[1].as_json()
    assert reports[0].tracks == 3 and list(reports[0].failed) == ["bad"]
    tables = [sorted((tmp_path / f"out{workers}" / "crops.jsonl").read_text().splitlines()) for workers in (1, 3)]
    assert tables[0] == tables[1]
