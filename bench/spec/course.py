"""The course of a training in phases: consecutive epochs with crops of one size, the backbone frozen or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.spec.trial_spec import TrainSpec, TrialSpec


@dataclass(frozen=True)
class Phase:
    """Epochs that are trained alike.

    Attributes:
        first, last: epochs, counted from 1, both included.
        crop: side of the crops, in pixels.
        frozen: whether the backbone is not trained and its batch normalisation is as in inference.
    """

    first: int
    last: int
    crop: int
    frozen: bool

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return self.last - self.first + 1


def phases(spec: TrialSpec) -> tuple[Phase, ...]:
    """Return the phases of a training in order. One phase is the whole training if neither of its fields changes it."""
    train, sides, frozen = spec.train, crop_ends(spec.train), frozen_epochs(spec.train)
    ends = sorted({*(end for end, _ in sides), *({frozen} - {0}), train.epochs})
    starts = [0, *ends[:-1]]
    return tuple(
        Phase(start + 1, end, next((side for until, side in sides if end <= until), spec.data.crop), end <= frozen)
        for start, end in zip(starts, ends, strict=True)
    )


def crop_ends(train: TrainSpec) -> list[tuple[int, int]]:
    """Return the last epoch and the side of the crops of each entry of `train.smaller_crops`."""
    return [(_whole_epochs(share, train.epochs), side) for share, side in train.smaller_crops]


def frozen_epochs(train: TrainSpec) -> int:
    """Return the number of epochs in which the backbone is frozen: 0 for none, all for the whole training."""
    if train.freeze == "none":
        return 0
    return train.epochs if train.freeze_for == 1 else _whole_epochs(train.freeze_for, train.epochs)


def steps_before_release(train: TrainSpec) -> int:
    """Return the step at which a frozen backbone begins to train; 0 for one that trains always or never."""
    frozen = frozen_epochs(train)
    return frozen * train.steps_per_epoch if frozen < train.epochs else 0


def share_of_pixels(spec: TrialSpec) -> float:
    """Return the pixels of all training crops divided by those of as many crops of `data.crop`."""
    pixels = sum(phase.epochs * phase.crop**2 for phase in phases(spec))
    return pixels / (spec.train.epochs * spec.data.crop**2)


def _whole_epochs(share: float, epochs: int) -> int:
    """Return a share of the epochs, rounded half up, at least one: validation and checkpoints follow whole epochs."""
    return max(1, int(share * epochs + 0.5))
