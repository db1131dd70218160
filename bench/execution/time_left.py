"""The time to the end of a run, from how long its complete trials took."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TimeLeft:
    """Seconds to the end of a run: least, typical, most; `trials` counts the complete trials that tell them."""

    least: float
    typical: float
    most: float
    trials: int


def time_left(
    lasted: Mapping[str, Sequence[float]],
    running: Sequence[tuple[str, float]],
    waiting: Sequence[str],
    at_a_time: int,
) -> TimeLeft | None:
    """Return the time until all trials have ended, or None if no trial is complete.

    A trial takes as long as complete ones of its cell: the shortest, the median or the longest of them. A cell without
    complete trials takes as long as those of all cells. The trials start in their order, each when one before it ends.

    Args:
        lasted: seconds of complete trials, by cell.
        running: cell of each trial under way, and the seconds since it began.
        waiting: cell of each trial that has not begun, in their order.
        at_a_time: trials that run at a time.

    >>> time_left({"a": [10.0, 30.0]}, [("a", 4.0)], ["a", "b"], 2)
    TimeLeft(least=16.0, typical=36.0, most=56.0, trials=2)
    """
    every = [seconds for of in lasted.values() for seconds in of]
    if not every:
        return None
    least, typical, most = (_end(lasted, every, running, waiting, at_a_time, end) for end in range(3))
    return TimeLeft(least, typical, most, len(every))


def _end(
    lasted: Mapping[str, Sequence[float]],
    every: Sequence[float],
    running: Sequence[tuple[str, float]],
    waiting: Sequence[str],
    at_a_time: int,
    end: int,
) -> float:
    """Return the seconds to the end if every trial takes the least (0), the typical (1) or the most (2) time."""

    def takes(cell: str) -> float:
        known = lasted.get(cell) or every
        return (min(known), statistics.median(known), max(known))[end]

    free = [max(0.0, takes(cell) - gone) for cell, gone in running]
    free += [0.0] * (at_a_time - len(free))
    heapq.heapify(free)
    for cell in waiting:
        heapq.heappush(free, heapq.heappop(free) + takes(cell))
    return max(free, default=0.0)
