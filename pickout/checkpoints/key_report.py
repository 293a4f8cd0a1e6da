"""What became of every key of a weight file, and of every tensor of the model."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from pickout.errors import CheckpointMismatch

SHOWN = 6  # how many keys of a kind an error names


@dataclass(frozen=True, slots=True)
class KeyReport:
    """The account of one import. Nothing is silently random, nothing silently dropped."""

    source: str  # the file or folder
    format: str  # what the importer took it for, for example `OpenAI CLIP`
    loaded: tuple[str, ...] = ()  # our tensors that came from the file
    missing: tuple[str, ...] = ()  # our tensors that the file does not have
    left_over: Sequence[str] = ()  # the file's keys that nothing uses and no reason excuses
    # our tensor to what is wrong with the file's: "found, expected"
    unfit: Mapping[str, str] = field(default_factory=dict)
    resized: Mapping[str, str] = field(default_factory=dict)  # our tensor to how it was changed to fit
    # the file's keys that are left out on purpose, each with the reason
    ignored: Mapping[str, str] = field(default_factory=dict)
    # our tensors that keep their starting weights on purpose, each with the reason
    fresh: Mapping[str, str] = field(default_factory=dict)
    spelled: Callable[[str], str] = str  # how the file spells one of our names; errors name its keys, not ours

    @property
    def complete(self) -> bool:
        """Whether every tensor and every key is accounted for."""
        return not (self.missing or self.left_over or self.unfit)

    def require_complete(self, remedy: str = "") -> None:
        """Raise a CheckpointMismatch that names what is missing, left over or unfit, and ends with `remedy`."""
        faults = {
            "missing": [self.spelled(key) for key in self.missing],
            "left over": self.left_over,
            "of another shape or kind": [f"{self.spelled(key)} ({text})" for key, text in self.unfit.items()],
        }
        told = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in faults.items() if keys]
        if told:
            raise CheckpointMismatch(
                f"{self.source}: read as {self.format}, but the keys do not fit: {'; '.join(told)}. "
                f"It is another model, or only a part of one{remedy}"
            )

    def summary(self) -> str:
        """One line: how many tensors were loaded, and what was resized, ignored or left fresh and why."""
        parts = [f"{self.format}: {len(self.loaded)} tensors loaded"]
        parts += [f"{key} {change}" for key, change in self.resized.items()]
        for what, reasons in (("ignored", self.ignored), ("fresh", self.fresh)):
            parts += [f"{count} {what} ({reason})" for reason, count in Counter(reasons.values()).items()]
        return "; ".join(parts)


def compare(report: KeyReport, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> KeyReport:
    """The report, with what came of tensors under our names held against the state dict that a model expects."""
    faults = {key: _fault(found[key], tensor) for key, tensor in expected.items() if key in found}
    return replace(
        report,
        loaded=tuple(key for key, fault in faults.items() if not fault),
        missing=tuple(key for key in expected if key not in found and key not in report.fresh),
        left_over=(*report.left_over, *(report.spelled(key) for key in found if key not in expected)),
        unfit={key: fault for key, fault in faults.items() if fault},
    )


def _fault(found: Tensor, expected: Tensor) -> str:
    """What keeps a tensor from taking the place of another; empty where nothing does."""
    if found.shape != expected.shape:
        return f"{tuple(found.shape)}, expected {tuple(expected.shape)}"
    if found.is_floating_point() != expected.is_floating_point():
        # Weights as whole numbers are quantised ones without their scales.
        return f"{found.dtype}, expected {expected.dtype}".replace("torch.", "")
    return "" if found.isfinite().all() else "not finite"


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more
