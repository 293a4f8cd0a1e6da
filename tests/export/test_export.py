"""Exports give the model's own vectors, or are refused."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import small_model

from pickout.checkpoints.loaded_model import LoadedModel
from pickout.cli.app import main
from pickout.data.data_set import Split
from pickout.errors import CheckpointError, CheckpointMismatch, ExportRefused, UsageError
from pickout.export import exported_images
from pickout.export.exported_images import (
    ABOUT,
    Gate,
    about_export,
    check_export,
    export,
    remember_export,
    with_export,
    with_runtime,
)
from pickout.export.graph import require, write_graph
from pickout.methods.base import ImageFeatures

FORMATS = [("openvino", ("openvino",)), ("onnx", ("onnxruntime", "onnx", "onnxscript"))]


def need(format: str) -> None:
    for package in dict(FORMATS)[format]:
        pytest.importorskip(package)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["openvino", "onnx"])
@pytest.mark.parametrize("name", ["dual", "itself", "fusion", "aga"])
def test_fp32_gives_the_models_vectors_and_tokens(
    name: str, format: str, tmp_path: Path, crops: list[Image.Image], people: Split
) -> None:
    need(format)
    model = small_model(name)
    gate = export(model, tmp_path / "out", format, "fp32", crops, people)
    assert gate.least_cosine > 0.9999 and gate.recall == gate.recall_torch
    other = with_export(model, tmp_path / "out")
    for count in (0, 1, len(crops)):
        assert np.allclose(model.encode_images(crops[:count]), other.encode_images(crops[:count]), atol=1e-4)
    assert other.fingerprint == model.fingerprint
    assert model.look is None
    if model.candidates:
        own, theirs = (each.encode_images_with_tokens(crops)[1] for each in (model, other))
        assert own.shape == theirs.shape and (gate.tokens_cosine or 0) > 0.9999


@pytest.fixture
def exported(tmp_path: Path, crops: list[Image.Image], people: Split) -> tuple[LoadedModel, Path]:
    need("openvino")
    model = small_model("itself")
    export(model, tmp_path / "out", "openvino", "fp32", crops, people)
    return model, tmp_path / "out"


@pytest.mark.parametrize("coarseness", [4, 400])
def test_bad_int8_is_refused_with_the_numbers_and_leaves_nothing(
    coarseness: int, tmp_path: Path, crops: list[Image.Image], people: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("openvino")
    model = small_model("itself")

    def coarse(method: torch.nn.Module, format: str, precision: str, ranges: list[torch.Tensor], folder: Path) -> None:
        """Quantised with the range of one outlier: few of the 255 steps are used."""
        other = small_model("itself").method
        for weight in other.parameters():
            step = coarseness * weight.abs().max() / 127
            weight.data = (weight / step).round() * step
        write_graph(other, "openvino", "fp32", ranges, folder)

    monkeypatch.setattr(exported_images, "write_graph", coarse)
    monkeypatch.setattr(exported_images, "require", lambda *_: None)  # this writer needs no package to quantise
    with pytest.raises(ExportRefused, match=r"refused: mean cosine .*at least 0.999") as refused:
        export(model, tmp_path / "out", "openvino", "int8", crops, people)
    assert refused.value.exit_code == 3
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".export-*"))


def test_the_gate_reads_every_number() -> None:
    good = Gate(10, 0.9995, 0.995, 0.9995, 400, 50.0, 49.5)
    assert good.refusal is None
    for name, value, words in [
        ("mean_cosine", 0.998, "mean cosine"),
        ("mean_cosine", float("nan"), "mean cosine"),
        ("least_cosine", 0.9, "least cosine"),
        ("tokens_cosine", 0.9, "mean cosine 0.9"),
        ("recall", 49.25, "R@1 falls from 50.00 to 49.25 in 400"),
    ]:
        assert words in (Gate(**{**asdict(good), name: value}).refusal or "")


def test_another_models_export_is_refused(exported: tuple[LoadedModel, Path]) -> None:
    with pytest.raises(CheckpointMismatch, match="made from itself"):
        with_export(small_model("itself", seed=1), exported[1])


def test_what_cannot_be_written_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="exists and is no earlier export"):
        check_export(tmp_path / "mine", "openvino", "fp32")
    with pytest.raises(UsageError, match="ONNX Runtime has none on a CPU"):
        check_export(tmp_path / "new", "onnx", "bf16")
    need("onnx")
    check_export(tmp_path / "new", "onnx", "fp32")


def test_damaged_and_foreign_folders_are_told(exported: tuple[LoadedModel, Path], tmp_path: Path) -> None:
    model, folder = exported
    with pytest.raises(CheckpointError, match="no export"):
        with_export(model, tmp_path)
    with pytest.raises(UsageError, match="no earlier export"):
        export(model, tmp_path, "openvino", "fp32", [], Split("drawn", "val", ()))
    about = json.loads((folder / ABOUT).read_text())
    for told in ("{", "[]", "{}", json.dumps({**about, "gate": {}}), json.dumps({**about, "files": {"../x": "0"}})):
        (folder / ABOUT).write_text(told)
        with pytest.raises(CheckpointError, match="export the model again"):
            about_export(folder)
    (folder / ABOUT).write_text(json.dumps({**about, "gate": {**about["gate"], "mean_cosine": 0.9}}))
    with pytest.raises(ExportRefused):
        with_export(model, folder)
    (folder / ABOUT).write_text(json.dumps(about))
    data = bytearray((folder / "images.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "images.bin").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"images\.bin: missing or changed"):
        with_export(model, folder)
    (folder / "images.bin").unlink()
    with pytest.raises(CheckpointError, match=r"images\.bin: missing or changed"):
        with_export(model, folder)


def test_nothing_phones_home() -> None:
    need("openvino")
    code = "import pickout.export.graph, openvino.tools.ovc.main as main; print(main.tm.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "openvino.tools.ovc.telemetry_stub"


def test_threads_may_share_an_export(exported: tuple[LoadedModel, Path], crops: list[Image.Image]) -> None:
    other = with_export(*exported)
    alone = [other.encode_images([crop]) for crop in crops]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda crop: other.encode_images([crop]), crops * 5))
    assert all(np.allclose(found, alone[place % len(crops)], atol=1e-5) for place, found in enumerate(together))


def test_a_missing_package_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pickout.export.graph.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"openvino, nncf\): pip install 'pickout\[runtime\]' openvino nncf"):
        require("openvino", "int8")
    with pytest.raises(UsageError, match="onnxruntime"):
        require("onnx")


def test_onnx_has_no_bf16(crops: list[Image.Image], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bf16"):
        write_graph(small_model("itself").method, "onnx", "bf16", [], tmp_path)


def test_the_fastest_is_taken_and_remembered(
    exported: tuple[LoadedModel, Path], monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    model, folder = exported
    assert with_runtime(model, "torch") is model
    with pytest.raises(UsageError, match="no such export of itself is known here"):
        with_runtime(model, "openvino")
    remember_export(model, folder)
    assert with_runtime(model, "openvino").look is not None
    with pytest.raises(UsageError, match="--format onnx"):
        with_runtime(model, "onnx")
    asked = list[list[str]]()

    def pick(sides: dict[str, LoadedModel]) -> str:
        asked.append(sorted(sides))
        return str(folder)

    monkeypatch.setattr(exported_images, "fastest", pick)
    assert with_runtime(model, "auto").look is not None
    assert with_runtime(model, "auto").look is not None
    assert asked == [sorted([str(folder), "torch"])]
    monkeypatch.setattr(exported_images, "machine", lambda: "another")
    with_runtime(model, "auto")
    assert len(asked) == 2
    (folder / "images.bin").unlink()
    monkeypatch.setattr(exported_images, "fastest", lambda sides: next(iter(sides)))
    assert with_runtime(model, "auto") is model
    (own_cache / "runtimes.json").write_text("[1")
    with pytest.raises(UsageError, match="no such export"):
        with_runtime(model, "openvino")


def test_the_fastest_is_the_one_that_takes_least_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Side:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def encode_images(self, images: list[Image.Image]) -> None:
            now[0] += self.seconds

    monkeypatch.setattr(exported_images.time, "perf_counter", lambda: now[0])
    assert exported_images.fastest({"slow": Side(2.0), "fast": Side(1.0), "middle": Side(1.5)}) == "fast"  # type: ignore[dict-item]


def test_index_and_search_take_the_export(
    exported: tuple[LoadedModel, Path],
    tmp_path: Path,
    crops: list[Image.Image],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, folder = exported
    remember_export(model, folder)
    monkeypatch.setattr("pickout.checkpoints.source.load", lambda place, device: model)
    (tmp_path / "crops").mkdir()
    for number, crop in enumerate(crops):
        crop.save(tmp_path / "crops" / f"{number}.png")
    looked = list[int]()

    def counted(model: LoadedModel, folder: Path) -> LoadedModel:
        found = with_export(model, folder)
        run = found.look
        assert run is not None

        def look(images: torch.Tensor) -> ImageFeatures:
            looked.append(len(images))
            return run(images)

        found.look = look
        return found

    monkeypatch.setattr(exported_images, "with_export", counted)
    place = ["--model", "itself", "--runtime", "openvino", "--json"]
    for words in (
        ["index", str(tmp_path / "crops"), "--out", str(tmp_path / "g"), *place],
        ["search", str(tmp_path / "g"), "--image", str(tmp_path / "crops" / "3.png"), *place],
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert not stop.value.code, capsys.readouterr().err
    first = json.loads(capsys.readouterr().out.splitlines()[1])
    assert first["path"].endswith("3.png") and first["score"] > 0.999
    assert looked == [len(crops), 1]
