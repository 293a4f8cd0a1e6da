"""What became of every key of a weight file, and of every tensor of the model."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from pickout.errors import CheckpointMismatch

SHOWN = 6
"""How many keys of a kind an error names."""


@dataclass(frozen=True, slots=True)
class KeyReport:
    """The account of one import. Nothing is silently random, nothing silently dropped.

    Args:
        source: the file or folder.
        format: what the importer took it for, for example `OpenAI CLIP`.
        loaded: our tensors that came from the file.
        missing: our tensors that the file does not have.
        left_over: the file's keys that nothing uses and no reason excuses.
        wrong_shape: our tensor to "found, expected".
        resized: our tensor to how it was changed to fit.
        ignored: the file's keys that are left out on purpose, each with the reason.
        fresh: our tensors that keep their starting weights on purpose, each with the reason.
    """

    source: str
    format: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()
    wrong_shape: Mapping[str, str] = field(default_factory=dict)
    resized: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    fresh: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every tensor and every key is accounted for."""
        return not (self.missing or self.left_over or self.wrong_shape)

    def require_complete(self) -> None:
        """Stop unless the report is complete.

        Raises:
            CheckpointMismatch: names what is missing, left over or of another shape.
        """
        if self.complete:
            return
        faults = []
        if self.missing:
            faults.append(f"{len(self.missing)} missing: {_some(self.missing)}")
        if self.left_over:
            faults.append(f"{len(self.left_over)} left over: {_some(self.left_over)}")
        if self.wrong_shape:
            shapes = [f"{key} ({text})" for key, text in self.wrong_shape.items()]
            faults.append(f"{len(shapes)} of another shape: {_some(shapes)}")
        raise CheckpointMismatch(
            f"{self.source}: read as {self.format}, but the keys do not fit: {'; '.join(faults)}. "
            "It is another model, or only a part of one"
        )

    def summary(self) -> str:
        """One line: how many tensors were loaded, and what was resized, ignored or left fresh and why."""
        parts = [f"{self.format}: {len(self.loaded)} tensors loaded"]
        parts += [f"{key} {change}" for key, change in self.resized.items()]
        parts += [f"{len(keys)} ignored ({reason})" for reason, keys in _by_reason(self.ignored).items()]
        parts += [f"{len(keys)} fresh ({reason})" for reason, keys in _by_reason(self.fresh).items()]
        return "; ".join(parts)


def compare(
    source: str,
    format: str,
    found: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    left_over: tuple[str, ...] = (),
    resized: Mapping[str, str] | None = None,
    ignored: Mapping[str, str] | None = None,
    fresh: Mapping[str, str] | None = None,
) -> KeyReport:
    """Hold a state dict against the one a model expects.

    Args:
        source: the file or folder.
        format: what it was taken for.
        found: tensors under our names.
        expected: the model's own state dict.
        left_over: keys of the file that have no name of ours.
        resized: passed on.
        ignored: passed on.
        fresh: tensors of `expected` that need not be found.
    """
    fresh = fresh or {}
    shapes = {
        key: f"{tuple(found[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in found and found[key].shape != tensor.shape
    }
    return KeyReport(
        source=source,
        format=format,
        loaded=tuple(key for key in expected if key in found and key not in shapes),
        missing=tuple(key for key in expected if key not in found and key not in fresh),
        left_over=left_over + tuple(key for key in found if key not in expected),
        wrong_shape=shapes,
        resized=resized or {},
        ignored=ignored or {},
        fresh=fresh,
    )


def _some(keys: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def _by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for key, reason in reasons.items():
        grouped.setdefault(reason, []).append(key)
    return grouped
