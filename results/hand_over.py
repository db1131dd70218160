"""Which speeds were measured with the cores of a machine placed alike, by the time of a hand-over between them.

The host of a virtual machine may move its cores, which changes speeds by up to a fifth (docs/results.md). Speeds are
compared within one placement: the one in which most of them were measured. What was measured is not chosen by its
speed, so this favours neither side of a comparison.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from results.record import Record

MOVED = 1.5
"""Ratio of two times from which the cores were placed otherwise.

Most times of one level differ by a tenth, single ones by a third; those of the two levels that were seen by a factor of
2.5. See docs/results.md.
"""
OTHERWISE = "the cores of this machine were placed otherwise"
_MACHINE = ("processor", "cores")

Levels = Mapping[tuple[str, ...], float]
"""Machine -> the usual time of a hand-over on it, nanoseconds."""


def usual(times: Iterable[float]) -> float | None:
    """Return the median of some times, which is one of them; None if there is none.

    >>> usual([230, 580, 233, 590]), usual([])
    (233, None)
    """
    known = sorted(times)
    return statistics.median_low(known) if known else None


def moved(time: float | None, level: float | None) -> bool:
    """Return whether a time is that of another placement. Nothing is said of a time that is not known.

    >>> moved(230, 250), moved(230, 580), moved(580, 230), moved(None, 230)
    (False, True, True, False)
    """
    return bool(time and level) and max(time, level) > MOVED * min(time, level)  # type: ignore[operator,type-var]


def figure(time: float, level: float) -> str:
    """Say in words how much two times differ.

    >>> figure(583.4, 231.2)
    '583 ns for a hand-over, mostly 231 ns'
    """
    return f"{time:.0f} ns for a hand-over, mostly {level:.0f} ns"


class Cores(NamedTuple):
    """What the record of a trial says of its cores: the kind of machine and the time of a hand-over, nanoseconds.

    The time is None if it was not measured, or if the speed of the trial cannot be compared anyway.
    """

    machine: tuple[str, ...]
    time: float | None


def cores_of(record: Record) -> Cores:
    """Return what a record says of its cores."""
    speed = record.throughput
    return Cores(
        tuple(str(record.environment.get(name) or "") for name in _MACHINE),
        speed.hand_over_ns if speed and speed.comparable else None,
    )


def levels(trials: Iterable[Cores]) -> Levels:
    """Return the usual time of each machine."""
    times: dict[tuple[str, ...], list[float]] = {}
    for machine, time in trials:
        if time is not None:
            times.setdefault(machine, []).append(time)
    return {machine: level for machine, of in times.items() if (level := usual(of)) is not None}


def placed_otherwise(one: Cores, usually: Levels) -> str:
    """Return why the speed of a trial cannot be compared with most others; empty if it can."""
    time, level = one.time, usually.get(one.machine)
    return "" if level is None else differ(time, [level])


def differ(time: float | None, others: Sequence[float]) -> str:
    """Return why a speed cannot be compared with others, by the times of a hand-over; empty if it can."""
    level = usual(others)
    if time is None or level is None or not moved(time, level):
        return ""
    return f"{OTHERWISE} ({figure(time, level)})"
