"""From tensors under our names to a working method, with every tensor accounted for."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pickout.checkpoints.key_report import KeyReport, compare
from pickout.errors import CheckpointMismatch, RecipeError
from pickout.methods.base import Method
from pickout.methods.model import ModelSettings, TokenizerFacts, build_model

_LEAST = 12
"""Tensors of a transformer layer: two projections, two norms, two feed-forward parts, a weight and a bias each."""


def assemble(
    source: str,
    format: str,
    settings: ModelSettings,
    tokenizer: TokenizerFacts,
    identities: int,
    state: Mapping[str, Tensor],
    *,
    left_over: Sequence[str] = (),
    ignored: Mapping[str, str] | None = None,
    resized: Mapping[str, str] | None = None,
    spelled: Callable[[str], str] = str,
) -> tuple[Method, KeyReport]:
    """Build a method around the given tensors. Starting weights are never drawn, so none can remain.

    Args:
        source: the file or folder, for errors.
        format: what it was taken for.
        settings: what to build.
        tokenizer: its tokenizer's facts.
        identities: how many people its classification heads tell apart.
        state: tensors under the method's names; floating ones become float32.
        left_over: keys of the file without a name of ours.
        ignored: keys left out on purpose, with reasons.
        resized: changed tensors, with what was done.
        spelled: how the file spells one of our names.

    Raises:
        CheckpointMismatch: keys missing, left over, or of another shape or kind, or a tokenizer of another size.
    """
    layers = settings.vision.layers + settings.text.layers
    if layers * _LEAST > len(state):
        raise CheckpointMismatch(
            f"{source}: its settings ask for {layers:,} layers; its {len(state):,} tensors are too few for so many"
        )
    words = state.get("text.tokens.weight", state.get("text.embeddings.words.weight"))
    if words is not None and words.ndim and words.shape[0] != tokenizer.vocabulary_size:
        raise CheckpointMismatch(
            f"{source}: the text tower knows {words.shape[0]} tokens, the tokenizer {tokenizer.vocabulary_size}; "
            "it is another model's tokenizer"
        )
    try:
        # On the meta device a build allocates nothing; the tensors of the file take the places.
        with torch.device("meta"):
            method = build_model(settings, tokenizer, identities, source=source)
    except RecipeError as error:
        raise CheckpointMismatch(str(error)) from None
    except (RuntimeError, OverflowError) as error:
        raise CheckpointMismatch(f"{source}: no model has the sizes in its settings ({error})") from None
    own, beside = method.state_dict(), {"ignored": ignored, "resized": resized}
    report = compare(source, format, state, own, left_over=left_over, spelled=spelled, **beside)
    report.require_complete()
    tensors = {key: tensor.to(own[key].dtype) for key, tensor in state.items()}
    method.load_state_dict(tensors, strict=True, assign=True)
    if any(buffer.is_meta for buffer in method.buffers()):
        # A buffer that is computed and not saved, such as a table of angles, needs a build that computes it.
        method = build_model(settings, tokenizer, identities, source=source)
        method.load_state_dict(tensors, strict=True)
    return method, report
