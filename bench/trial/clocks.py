"""The wall-clock time of a trial by phase, and its CPU time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class PhaseTimer:
    """Measures wall-clock seconds by phase. Phases nest: time inside an inner phase is not counted in the outer one.

    `cpu` counts the CPU seconds of all threads of this process.

    Attributes:
        inherited: seconds of work that this process found done, see `inherit`.
    """

    PHASES = ("init", "compile", "train", "eval", "io")

    def __init__(self) -> None:
        self._spent: dict[str, float] = defaultdict(float)
        self._parts: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = self._started = time.perf_counter()
        self._cpu_started = time.process_time()
        self.inherited = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside the block in a phase."""
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a part of a phase. Its seconds are counted in the phase, too."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._parts[name] += time.perf_counter() - started

    def _charge(self) -> None:
        """Count the time since the last call in the innermost phase."""
        now = time.perf_counter()
        if self._stack:
            self._spent[self._stack[-1]] += now - self._since
        self._since = now

    def inherit(self, name: str, seconds: float) -> None:
        """Count in a phase the seconds of work that this process found done, such as the imports of a fork server.

        The phase is then as long as in a process that does the work itself. The total stays that of this process.
        """
        self._spent[name] += seconds
        self.inherited += seconds

    def add(self, name: str, seconds: float) -> None:
        """Count seconds in a phase that were spent before this object existed, such as those of an earlier attempt."""
        self._spent[name] += seconds
        self._started -= seconds

    def add_cpu(self, seconds: float) -> None:
        """Count CPU seconds of an earlier attempt."""
        self._cpu_started -= seconds

    def move(self, source: str, target: str, seconds: float) -> None:
        """Move seconds from one phase to another, such as those of the first step, which is mostly tracing."""
        self._spent[source] -= seconds
        self._spent[target] += seconds

    def elapsed(self, name: str) -> float:
        """Return the seconds of a phase up to now."""
        self._charge()
        return self._spent[name]

    def of_part(self, name: str) -> float:
        """Return the seconds of a part; 0 if it has not begun."""
        return self._parts[name]

    def as_dict(self) -> dict[str, float]:
        """Return the record's `clocks`: seconds of each phase (`NAME_s`), `total_s` since the start, and `cpu_s`."""
        self._charge()
        return {f"{name}_s": self._spent[name] for name in self.PHASES} | {
            "total_s": time.perf_counter() - self._started,
            "cpu_s": time.process_time() - self._cpu_started,
        }
