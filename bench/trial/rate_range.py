"""The learning-rate range test: the rate rises at every step, and the loss tells how far it may rise.

Source: Smith (2017, arXiv 1506.01186, section 3.3), with a rate that rises by the same factor at every step.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import results
from bench.core import own_code
from bench.spec import TrainSpec, TrialSpec
from bench.trial.facts import Facts
from bench.trial.setup import setup
from bench.trial.strategy import distribute

LOWEST, HIGHEST = 1e-6, 10.0
"""The rates of the first and of the last step, for a batch of 8."""
CURVE = "learning_rates.csv"
"""The file of the curve in the folder of the test."""
GIVEN_UP = 4.0
"""Factor over the least smoothed loss at which the test ends: behind it nothing is learnt any more."""


@dataclass(frozen=True)
class RateRange:
    """The result of a range test.

    Attributes:
        rates: of the steps, for a batch of 8, float64 (N,).
        losses: of the steps, float64 (N,); the last may be infinite or NaN.
        smoothed: their running mean, float64 (N,).
        suggested: the rate at which the smoothed loss falls fastest; None if it never falls.
        limit: the rate at which the smoothed loss is least, beyond which it no longer falls; None if it never falls.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggested: float | None
    limit: float | None

    def __str__(self) -> str:
        if self.suggested is None:
            return f"no learning rate from {LOWEST:g} to {self.rates[-1]:.2g} lowered the loss; take more steps"
        return f"learning rate {self.suggested:.2g} (fastest fall of the loss; it falls up to {self.limit:.2g})"


def range_test(spec: TrialSpec, folder: Path) -> RateRange:
    """Train for the steps of a spec while the learning rate rises, and write the curve into the folder.

    Nothing is scored and no weights are kept. Smaller crops and a backbone that is released later are left out.

    Args:
        spec: the whole specification; its learning rate and its schedule are not used.
        folder: for the curve; made if missing.

    Raises:
        UsageError: devices, data, weights or a parameter of the loss are not as the spec requires.
    """
    own_code.make_importable(spec.own_code, ())
    spec = spec.model_copy(update={"train": _rising(spec.train)})
    prepared = setup(spec, Facts())
    kept = _Losses(spec.train.steps)
    # Epochs of one step, so that the loss in their logs is that of the step.
    prepared.training_model.fit(
        distribute(prepared.batches(spec.train.steps), prepared.strategy),
        epochs=spec.train.steps,
        steps_per_epoch=1,
        callbacks=[kept],
        verbose=0,
    )
    found = judged(np.array(kept.losses), spec.train.steps)
    folder.mkdir(parents=True, exist_ok=True)
    results.write_bytes(folder / CURVE, _table(found).encode())
    return found


def _rising(train: TrainSpec) -> TrainSpec:
    """Return the section of a spec with a rate that rises exponentially over its steps."""
    changes: dict[str, Any] = {
        "learning_rate": LOWEST, "schedule": "exponential", "final": HIGHEST / LOWEST, "warmup": 0.0,
        "steps_per_execution": 1, "smaller_crops": (), "freeze_for": 1.0,
        "freeze": train.freeze if train.freeze_for == 1 else "none",
    }  # fmt: skip
    return train.model_copy(update=changes)


def judged(losses: np.ndarray, steps: int) -> RateRange:
    """Return the result for the losses (N,) of the first N of `steps` steps."""
    rates = LOWEST * (HIGHEST / LOWEST) ** (np.arange(len(losses)) / steps)
    smoothed = running_mean(losses, steps)
    finite = np.where(np.isfinite(smoothed), smoothed, np.inf)
    least = int(np.argmin(finite))
    first = _looks_back(steps)  # before that the mean is of a few losses
    if least <= first or finite[least] >= finite[first] or np.isclose(finite[least], finite[first]):
        return RateRange(rates, losses, smoothed, None, None)
    slopes = np.diff(finite[first : least + 1])
    return RateRange(rates, losses, smoothed, float(rates[first + int(np.argmin(slopes))]), float(rates[least]))


def running_mean(losses: np.ndarray, steps: int) -> np.ndarray:
    """Return the exponential running mean (N,) of losses (N,). It looks back over a twentieth of `steps`, at least 2.

    It is divided by the sum of its weights, as Adam's moments are, so that it does not begin at zero.
    """
    momentum, mean, found = 1 - 1 / _looks_back(steps), 0.0, []
    for number, loss in enumerate(losses.tolist(), 1):
        mean = momentum * mean + (1 - momentum) * loss
        found.append(mean / (1 - momentum**number))
    return np.array(found)


def _looks_back(steps: int) -> int:
    return max(2, steps // 20)


class _Losses(keras.callbacks.Callback):
    """Keeps the loss of each epoch, and ends the training when the loss has left all it has learnt."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.losses: list[float] = []
        self._steps = steps

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.losses.append(float(np.asarray(logs["loss"])))
        smoothed = running_mean(np.array(self.losses), self._steps)
        least = smoothed[_looks_back(self._steps) :].min(initial=math.inf)
        risen = len(smoothed) > _looks_back(self._steps) and 0 < GIVEN_UP * least < smoothed[-1]
        if risen or not math.isfinite(self.losses[-1]):
            self.model.stop_training = True


def _table(found: RateRange) -> str:
    """Return the curve as CSV."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["step", "learning_rate", "loss", "smoothed_loss"])
    columns = zip(found.rates, found.losses, found.smoothed, strict=True)
    rows.writerows([step, *(f"{value:.6g}" for value in values)] for step, values in enumerate(columns))
    return out.getvalue()
