"""Where the time of a trial goes, and its throughput in the steady state."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Clocks:
    """Wall-clock seconds by phase. Phases nest: time inside an inner phase is not counted in the outer one."""

    PHASES = ("init", "compile", "train", "eval", "io")

    def __init__(self) -> None:
        self._spent: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = self._started = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._stack:
            self._spent[self._stack[-1]] += now - self._since
        self._since = now

    def add(self, name: str, seconds: float) -> None:
        """Seconds spent before this object existed, such as the imports of the process."""
        self._spent[name] += seconds
        self._started -= seconds

    def move(self, source: str, target: str, seconds: float) -> None:
        """Re-book seconds, such as the first step's, which is mostly tracing."""
        self._spent[source] -= seconds
        self._spent[target] += seconds

    def elapsed(self, name: str) -> float:
        """Seconds booked to a phase up to now."""
        self._charge()
        return self._spent[name]

    def as_dict(self) -> dict[str, float]:
        self._charge()
        return {f"{name}_s": self._spent[name] for name in self.PHASES} | {
            "total_s": time.perf_counter() - self._started
        }


DRIFT = 0.05
"""Largest relative difference between the two halves of a steady state that is not noise."""
ONE_WAY = 0.1
"""Level of the test whether rates only rise or only fall."""


def steady_windows(rates: list[float]) -> list[float]:
    """Drop warm-up windows from the front, by MSER (White 1997, Simulation 69(6)).

    The cut d, at most half of the windows, is where the squared standard error of the mean of what is left,
    s^2(d) / (n - d), is least. If what is left still drifts, there is no steady state, and the list is empty. It drifts
    when its halves differ by more than 5 % and the windows go one way (Kendall's tau, Mann 1945, p below 10 %): on a
    machine where a window varies by 8 % the halves of nine differ by more than 5 % more than a quarter of the time.

    Args:
        rates: images/s of consecutive windows.
    """
    values = np.asarray(rates, float)
    if len(values) < 2:
        return []
    errors = [values[cut:].var() / (len(values) - cut) for cut in range(len(values) // 2 + 1)]
    kept = values[int(np.argmin(errors)) :]
    early, late = kept[: len(kept) // 2].mean(), kept[len(kept) // 2 :].mean()
    apart = abs(late - early) > DRIFT * max(early, late)
    return [] if apart and _one_way(kept) else kept.tolist()


def _one_way(rates: np.ndarray) -> bool:
    from scipy import stats  # here, not above: most trials can do without, and it costs them most of a second

    # Of three windows no order is rare enough to say anything.
    return len(rates) < 4 or float(stats.kendalltau(np.arange(len(rates)), rates).pvalue) < ONE_WAY
