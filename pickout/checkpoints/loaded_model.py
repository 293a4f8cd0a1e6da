"""Where a model computes and in which precision, its fingerprint, which tells whose vectors are whose, and a model
ready for use: pictures and sentences in, vectors out."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from pydantic import NonNegativeInt
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pickout.checkpoints.weight_file import KeyReport, compare
from pickout.config import Settings
from pickout.data.images import to_rgb
from pickout.data.transforms import prepare
from pickout.errors import CheckpointError, CheckpointMismatch, RecipeError, UsageError
from pickout.files import beside, read_text
from pickout.methods.base import ImageFeatures, Method
from pickout.methods.model import ModelSettings, build_model
from pickout.saliency.vacuous_words import VACUOUS_WORDS
from pickout.shapes import TokenBatch
from pickout.text.familiarity import LEARNT, Familiarity, familiarity
from pickout.text.tokenizer import Tokenizer, TokenizerSettings

FINGERPRINT = 12  # hexadecimal digits of a fingerprint
FORMAT = 1  # version of a run's layout


class RunSettings(Settings):
    """What `model.toml` holds."""

    format: int = FORMAT
    name: str  # for people
    identities: NonNegativeInt  # how many people the classification heads tell apart; 0 without heads
    model: ModelSettings  # what the method is built from


def digest_of(tensors: Mapping[str, Tensor], before: bytes = b"") -> str:
    """SHA-256 over what stands `before`, and every tensor by name, shape and bytes."""
    digest = hashlib.sha256(before)
    for key, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{key} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def described(settings: ModelSettings) -> str:
    """The settings as text, without those that came later and stand at what everything was before them."""
    # So the fingerprints of models, and the galleries that were made with them, stay when settings are added.
    bert = {"kind", "fusion_layers", "feed_forward", "positions", "dropout"}
    later: dict[str, set[str]] = {
        "image": {"resample"} if settings.image.resample == "bilinear" else set(),
        "vision": {name for name, old in (("kind", "clip"), ("branches", 1)) if getattr(settings.vision, name) == old},
        "text": bert if settings.text.kind == "clip" else set(),
        "tokenizer": {"cleaning", "words"},
    }
    plain = settings.model_copy(update={"tokenizer": TokenizerSettings()})
    return tomli_w.dumps(plain.model_dump(mode="json", exclude_none=True, exclude=later))


Precision = Literal["auto", "fp32", "bf16"]


def choose_device(device: str) -> torch.device:
    """The device of that name: `cpu`, `cuda`, `cuda:1`; `auto` for a GPU where there is one, each process its own.
    `UsageError`: another kind of device, or one that is not in this machine."""
    if device == "auto":
        here = torch.cuda.device_count() if torch.cuda.is_available() else 0
        device = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % here}" if here else "cpu"
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"device '{device}': unknown; use auto, cpu, cuda or cuda:0")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device '{device}': this machine or this build of torch has no such GPU; use cpu or auto")
    return chosen


def choose_precision(precision: str, device: torch.device) -> Literal["fp32", "bf16"]:
    """`bf16` or `fp32`; `auto` takes `bf16` where the device computes in it natively."""
    if precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.get_device_capability(device) >= (8, 0)
        else:
            probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
            native = any(getattr(torch.cpu, probe, bool)() for probe in probes)
        return "bf16" if native else "fp32"
    if precision not in get_args(Precision):
        raise UsageError(f"precision '{precision}': unknown; use auto, fp32 or bf16")
    return "bf16" if precision == "bf16" else "fp32"


Item = TypeVar("Item")

BATCH = 32  # images or captions encoded at a time
WORKERS = 4  # threads that prepare images while the towers compute
_LEAST = 12
"""Tensors of a transformer layer: two projections, two norms, two feed-forward parts, a weight and a bias each."""


@dataclass(eq=False, repr=False, kw_only=True)
class LoadedModel:
    """A method, its tokenizer and the way its images are prepared; a UsageError for an unknown device or precision."""

    name: str  # for people: the run's or the file's name
    method: Method  # with its weights; moved to `device` and set to evaluation mode
    tokenizer: Tokenizer  # the one that the text tower was trained with
    settings: ModelSettings  # what the method was built from
    identities: int  # how many people its classification heads tell apart; 0 without heads
    report: KeyReport  # what became of every key when it was loaded
    device: Any = "cpu"  # where to compute, a `torch.device` from then on
    precision: Precision = "auto"  # `fp32`, `bf16` for matrix products in bfloat16, `auto` for what the device has
    look: Callable[[Tensor], ImageFeatures] | None = None
    """Another program that computes what `method.encode_images` gives for prepared images; see `pickout.export`."""

    def __post_init__(self) -> None:
        self.device = choose_device(self.device)
        self.precision = choose_precision(self.precision, self.device)
        self.method = self.method.to(self.device).eval()

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.method.dimension

    @property
    def candidates(self) -> int:
        """How many of the best crops by vector `match` should look at again; 0: the method has no second score."""
        return self.method.candidates

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over settings, tokenizer and every tensor by name, shape and bytes, cut to 12 hexadecimal digits."""
        told = described(self.settings) + self.tokenizer.to_json()
        return digest_of(self.method.state_dict(), told.encode())[:FINGERPRINT]

    def encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """L2-normalised vectors of upright pictures of any size and mode; a CheckpointError where they are not finite.
        Shape: (images, dimension)."""
        return self._finished(found.embedding for found in self._look_at(images))

    def encode_images_with_tokens(self, images: Sequence[Image]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """As `encode_images`, and what a second look reads: bfloat16 bit patterns. Shape: (images, tokens, width)."""
        embeddings, tokens = [], []
        for found in self._look_at(images):
            embeddings.append(found.embedding)
            tokens.append(found.tokens.to(torch.bfloat16).cpu().view(torch.uint16).numpy())
        return self._finished(embeddings), np.concatenate(tokens) if tokens else np.empty((0, 0, 0), np.uint16)

    def match(self, sentence: str, tokens: NDArray[np.uint16]) -> NDArray[np.float32]:
        """The second score of a sentence with each picture: the higher, the better they fit. Shape: (images,). `tokens`
        are from `encode_images_with_tokens`; a UsageError where they are another model's, or there is no such score."""
        if self.candidates == 0:
            raise UsageError(f"{self.name}: this method has no second score")
        width = self.settings.vision.width
        if tokens.dtype != np.uint16 or tokens.ndim != 3 or (len(tokens) and tokens.shape[-1] != width):
            why = f"{self.name}: tokens {tokens.dtype} {tokens.shape} are not its own; take encode_images_with_tokens"
            raise UsageError(why)
        scores = [np.empty(0, np.float32)]
        with torch.inference_mode(), self._autocast():
            texts = self.method.encode_texts(self._tokens([sentence]))
            for start in range(0, len(tokens), BATCH):
                some = tokens[start : start + BATCH].copy()
                pictures = torch.from_numpy(some).view(torch.bfloat16).to(self.device).float()
                count = len(pictures)
                matched = self.method.match_pairs(
                    self.method.remember(pictures),
                    texts.tokens.expand(count, -1, -1),
                    texts.texts.mask.expand(count, -1),
                    torch.arange(count, device=self.device),
                )
                scores.append(matched.float().cpu().numpy())
        return self._finite(np.concatenate(scores))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised vectors of any strings, cut to the context; errors as above. Shape: (texts, dimension)."""
        with torch.inference_mode(), self._autocast():
            read = (self.method.encode_texts(self._tokens(batch)) for batch in _batches(texts))
            return self._finished(found.embedding for found in read)

    @cached_property
    def learnt(self) -> frozenset[str] | None:
        """The words of the captions that it was taught with; None where no list beside the weights tells them."""
        file = beside(Path(self.report.source), LEARNT)
        try:
            return frozenset(read_text(file).split())
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{file}: the list of learnt words cannot be read; remove it ({error})") from None

    def familiarity(self, sentence: str) -> Familiarity:
        """Which of the sentence's words the model was taught; where that is not told, which its tokenizer knows."""
        return familiarity(self.tokenizer, sentence, self.learnt and self.learnt | VACUOUS_WORDS)

    def _look_at(self, images: Sequence[Image]) -> Iterator[ImageFeatures]:
        """What the method knows of the pictures, a batch at a time; the next one is prepared meanwhile."""
        with ThreadPoolExecutor(WORKERS) as pool:
            waiting = iter([pool.submit(self._prepare, image) for image in batch] for batch in _batches(images))
            following = next(waiting, None)
            while following is not None:
                current, following = following, next(waiting, None)
                prepared = torch.stack([job.result() for job in current]).to(self.device)
                with torch.inference_mode(), self._autocast():
                    yield (self.look or self.method.encode_images)(prepared)

    def _tokens(self, texts: Sequence[str]) -> TokenBatch:
        ids = self.tokenizer.encode(texts)
        return TokenBatch(torch.from_numpy(ids), torch.from_numpy(self.tokenizer.mask(ids))).to(self.device)

    def _prepare(self, image: Image) -> Tensor:
        return prepare(image if image.mode == "RGB" else to_rgb(image), self.settings.image)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def _finished(self, embeddings: Iterable[Tensor]) -> NDArray[np.float32]:
        vectors = (F.normalize(embedding.float(), dim=-1).cpu().numpy() for embedding in embeddings)
        return self._finite(np.concatenate([np.empty((0, self.dimension), np.float32), *vectors]))

    def _finite(self, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(numbers).all():
            why = f"{self.name}: the model gives numbers that are not finite; its weights are damaged or diverged"
            raise CheckpointError(why)
        return numbers


class _Undrawn(TorchFunctionMode):
    """Draws no starting weights. On the meta device PyTorch imports its compiler, for a second, to draw nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "").removeprefix("kaiming_") in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def assemble(report: KeyReport, run: RunSettings, tokenizer: Tokenizer, state: Mapping[str, Tensor]) -> LoadedModel:
    """Build a model around tensors under its names, on the CPU. Starting weights are never drawn, so none can remain.
    `report` says where the tensors of `state` are from. A CheckpointMismatch where keys are missing, left over or of
    another shape or kind, or the tokenizer has another size."""
    source, settings, identities = report.source, run.model, run.identities
    layers = settings.vision.layers + settings.text.layers
    if layers * _LEAST > len(state):
        why = f"{source}: its settings ask for {layers:,} layers; its {len(state):,} tensors are too few for so many"
        raise CheckpointMismatch(why)
    words = state.get("text.tokens.weight", state.get("text.embeddings.words.weight"))
    if words is not None and words.ndim and words.shape[0] != tokenizer.vocabulary_size:
        why = f"{source}: the text tower knows {words.shape[0]} tokens, the tokenizer {tokenizer.vocabulary_size};"
        raise CheckpointMismatch(f"{why} it is another model's tokenizer")
    try:
        # On the meta device a build allocates nothing; the tensors of the file take the places.
        with torch.device("meta"), _Undrawn():
            method = build_model(settings, tokenizer, identities, source=source)
    except (RecipeError, RuntimeError, OverflowError) as error:
        raise CheckpointMismatch(f"{source}: no model has such settings ({error})") from None
    own = method.state_dict()
    report = compare(report, state, own)
    report.require_complete()
    tensors = {key: tensor.to(own[key].dtype) for key, tensor in state.items()}
    method.load_state_dict(tensors, strict=True, assign=True)
    if any(buffer.is_meta for buffer in method.buffers()):
        # A buffer that is computed and not saved, such as a table of angles, needs a build that computes it.
        method = build_model(settings, tokenizer, identities, source=source)
        method.load_state_dict(tensors, strict=True)
    return LoadedModel(
        name=run.name, method=method, tokenizer=tokenizer, settings=settings, identities=identities, report=report
    )


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
