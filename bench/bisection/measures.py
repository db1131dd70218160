"""The metrics that a search can follow: from a record to a number, and from that to a score, of which more is worse."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import results

RULES = {
    "miou": "miou", "images_per_second": "images_per_second", "memory": "peak_rss_mb", "start": "start_s"
}  # fmt: skip
"""Metric -> the entry of results/comparison/margins.yaml with its margin."""
METRICS = tuple(RULES)


class Reading(NamedTuple):
    """What a trial says of a metric.

    Attributes:
        value: in the metric's own unit; None if the trial says nothing.
        reason: why there is no value.
        disturbed: whether the machine, and not the commit, is the reason.
    """

    value: float | None
    reason: str = ""
    disturbed: bool = False


@dataclass(frozen=True)
class Measure:
    """A metric that a search follows.

    Attributes:
        name: one of `METRICS`.
        disturbed: whether a speed that was measured beside other work counts. It is then the median of all windows.
    """

    name: str
    disturbed: bool = False

    @property
    def rules(self) -> results.margins.Metric:
        """Its scale, its better direction and its margin."""
        return results.margins.read(str(results.margins.DEFAULT)).metrics[RULES[self.name]]

    @property
    def fresh(self) -> bool:
        """Whether it drifts with the hour, so that GOOD and BAD are measured anew beside every commit."""
        return self.name != "miou"

    def read(self, record: results.Record, beside: Sequence[float] = ()) -> Reading:
        """Read the metric: validation mIoU, images/s, peak MiB, or seconds until the first step is over.

        Args:
            record: of the trial.
            beside: times of a hand-over between cores in the other trials of its turn, with which it is compared.
        """
        if record.status != "ok":
            return Reading(None, record.error.message if record.error else record.status)
        if self.name == "images_per_second" and (why := self._spoilt(record, beside)):
            return Reading(None, why, disturbed=True)
        value = _value(self.name, record, self.disturbed)
        if value is None or not math.isfinite(value) or (self.rules.scale == "ratio" and value <= 0):
            return Reading(None, f"its record has no {self.name}")
        return Reading(value)

    def _spoilt(self, record: results.Record, beside: Sequence[float]) -> str:
        """Return why a speed does not count; empty if it does.

        Records of older code do not say what else ran. They count, because each turn measures all sides alike.
        """
        speed = record.throughput
        if speed is None:
            return ""
        if not (speed.comparable or speed.reason == results.UNKNOWN_STATE or self.disturbed):
            return speed.reason or "its speed is not comparable"
        # The turn is the unit: what slows all its trials cancels, and what slows one by chance is noise.
        return results.hand_over.differ(speed.hand_over_ns, beside)

    def score(self, value: float) -> float:
        """Return a value on the scale of the search, where more is worse."""
        return -self.rules.on_scale(value)

    def plain(self, score: float) -> float:
        """Return a difference of scores as a share of GOOD (of a ratio) or in the metric's unit; positive is worse."""
        if self.rules.scale == "difference":
            return score
        return -math.expm1(-score) if self.rules.better == "higher" else math.expm1(score)

    def words(self, score: float) -> str:
        """Return a difference of scores in words."""
        value = 100 * self.plain(score)
        unit = "points" if self.rules.scale == "difference" else "%"
        return f"{value + 0.0:.1f} {unit}" if math.isfinite(value) else "unknown"

    def interval(self, low: float, high: float) -> str:
        """Return the interval of a difference of scores in words."""
        return f"{self.words(low).split()[0]} to {self.words(high)}"


def _value(name: str, record: results.Record, disturbed: bool) -> float | None:
    if name == "miou":
        return next((view.miou for view in record.views if (view.view, view.split) == ("default", "val")), None)
    if name == "images_per_second" and record.throughput:
        windows = [rate for rate in record.throughput.windows if rate is not None]
        return statistics.median(windows) if disturbed and windows else record.throughput.images_per_second
    if name == "memory":
        return record.memory.peak_gpu_mb or record.memory.peak_rss_mb
    return record.clocks.start_s if name == "start" else None
