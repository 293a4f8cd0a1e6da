"""A method's image side as a graph that OpenVINO or ONNX Runtime computes: from prepared images, any number of them, to
embeddings, and for a method with a second look their tokens. `fp32` and `bf16` are the same graph; `int8` quantises
after training: by NNCF with ranges from the user's crops, or for ONNX Runtime with ranges of every batch."""

import logging
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pickout.errors import UsageError
from pickout.methods.base import Method
from pickout.shapes import Pictures

# OpenVINO without the part that tells its maker of each use: nothing here phones home. Set before anything imports it;
# torch.export does.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

Format = Literal["openvino", "onnx"]
ExportPrecision = Literal["fp32", "bf16", "int8"]
GRAPHS: dict[str, tuple[str, ...]] = {"openvino": ("images.xml", "images.bin"), "onnx": ("images.onnx",)}
"""Files of a graph by format, the one to open first."""
_RUNNING = {"openvino": ("openvino",), "onnx": ("onnxruntime",)}
_WRITING = {"openvino": ("openvino",), "onnx": ("onnxruntime", "onnx", "onnxscript")}


def require(format: str, precision: str | None = None) -> None:
    """Make sure that a format's packages are installed, those that run it or, for a `precision`, those that write it.
    `UsageError`: they are not, or the format has no such precision."""
    if (format, precision) == ("onnx", "bf16"):
        raise UsageError("--precision bf16: ONNX Runtime has none on a CPU; use fp32 or int8, or --format openvino")
    names = [*(_WRITING if precision else _RUNNING)[format]]
    names += ["nncf"] if (format, precision) == ("openvino", "int8") else []
    if missing := [name for name in names if find_spec(name) is None]:
        why = f"{format} needs more packages ({', '.join(missing)})"
        raise UsageError(f"{why}: pip install 'pickout[runtime]' {' '.join(missing)}")


class _ImageSide(nn.Module):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Pictures) -> tuple[Tensor, ...]:
        found = self.method.encode_images(images)
        return (found.embedding, found.tokens) if self.method.candidates else (found.embedding,)


def write_graph(
    method: Method, format: Format, precision: ExportPrecision, crops: Sequence[Tensor], folder: Path
) -> None:
    """Write the files of `GRAPHS`; `crops` are prepared images, by which `int8` finds ranges. `UsageError`: a package
    is missing, or the format has no such precision."""
    require(format, precision)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        example = torch.stack([crops[0]] * 3)
        program = torch.export.export(_ImageSide(method), (example,), dynamic_shapes=({0: batch},), strict=False)
        if format == "openvino":
            _write_openvino(program, precision, crops, folder / GRAPHS[format][0])
        else:
            _write_onnx(program, precision, folder / GRAPHS[format][0])


def _write_openvino(program: Any, precision: str, crops: Sequence[Tensor], file: Path) -> None:
    import openvino

    model = openvino.convert_model(program)
    model.reshape([-1, *crops[0].shape])
    if precision == "int8":
        import nncf

        nncf.set_log_level(logging.ERROR)
        ranges = nncf.Dataset([crop[None].numpy() for crop in crops])
        model = nncf.quantize(model, ranges, subset_size=len(crops), model_type=nncf.ModelType.TRANSFORMER)
    openvino.save_model(model, file, compress_to_fp16=False)


def _write_onnx(program: Any, precision: str, file: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    ops = import_module("onnxscript").opset18

    def sort_stable(x: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:  # noqa: ARG001
        # The lowest position wins among equals in ONNX's TopK, as in a stable sort; the tokens are the second axis.
        return ops.TopK(x, ops.Slice(ops.Shape(x), [1], [2]), axis=dim, largest=int(descending), sorted=1)

    own: dict[Any, Any] = {torch.ops.aten.sort.stable: sort_stable}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with TemporaryDirectory() as scratch:
        plain = Path(scratch) / file.name
        torch.onnx.export(
            program, (), str(plain), dynamo=True, verbose=False, external_data=False, custom_translation_table=own
        )
        graph = onnx.load(str(plain))
        del graph.graph.value_info[:]  # shapes that the quantiser infers anew, and would find in conflict
        if precision == "int8":
            onnx.save(graph, str(plain))
            quantize_dynamic(str(plain), str(file), ["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8)
        else:
            onnx.save(graph, str(file))
