"""Where the time of a trial goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class PhaseTimer:
    """Wall-clock seconds by phase. Phases nest: time inside an inner phase is not counted in the outer one."""

    PHASES = ("init", "compile", "train", "eval", "io")

    def __init__(self) -> None:
        self._spent: dict[str, float] = defaultdict(float)
        self._parts: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = self._started = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book the time inside to a phase."""
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a part of the phase that it lies in, which has these seconds too."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._parts[name] += time.perf_counter() - started

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._stack:
            self._spent[self._stack[-1]] += now - self._since
        self._since = now

    def add(self, name: str, seconds: float) -> None:
        """Book seconds spent before this object existed, such as those of an earlier attempt."""
        self._spent[name] += seconds
        self._started -= seconds

    def move(self, source: str, target: str, seconds: float) -> None:
        """Book seconds to another phase, such as those of the first step, which is mostly tracing."""
        self._spent[source] -= seconds
        self._spent[target] += seconds

    def elapsed(self, name: str) -> float:
        """Return the seconds booked to a phase up to now."""
        self._charge()
        return self._spent[name]

    def of_part(self, name: str) -> float:
        """Return the seconds of a part, 0 if the trial did not come to it."""
        return self._parts[name]

    def as_dict(self) -> dict[str, float]:
        """Return the record's `clocks`: seconds of each phase, and of all since the start."""
        self._charge()
        return {f"{name}_s": self._spent[name] for name in self.PHASES} | {
            "total_s": time.perf_counter() - self._started
        }
