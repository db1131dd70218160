"""Which windows of a training were disturbed, and by what, from samples of the machine at their edges.

The limits are meant for this question: could the disturbance have changed the images/s of a window by more than the 5 %
that count as drift (`bench.trial.throughput.DRIFT`)?
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.trial.machine_watch import Sample
from results import WindowState, counted, hand_over

TAKEN = 0.05
"""Share of the trial's core seconds that other processes, the hypervisor and a quota may take together.

A step waits for its slowest thread, so a core that is taken for a twentieth of the time costs up to a twentieth of the
speed. The processes of a run (driver, Ray, supervisor) stay below this limit, see docs/results.md.
"""
_RESOLUTION = 0.02
"""Seconds per core that are allowed on top: the system counts in hundredths of a second, one at each edge."""
REFERENCE_MOVED = 0.10
"""Relative difference of two measurements of the reference from which the machine had another speed.

Twice the drift that the windows themselves may have, because each of the two measurements lasts for a third of a
second only and is uncertain itself.
"""
_HIDDEN = 0.5
"""If all processes together used less than this share of what the trial used, the system does not count the trial."""

OTHER_WORK = "other work on this machine"
UNKNOWN = "what else ran on this machine is unknown"
_ONLY_UNKNOWN = "the system does not report the time of its cores"


@dataclass(frozen=True)
class Disturbance:
    """What disturbed one window: in words, how much (larger is worse), and the same as text."""

    what: str
    size: float
    figure: str

    def __str__(self) -> str:
        return f"{self.what} ({self.figure})"


def between(start: Sample, end: Sample) -> dict[str, Any]:
    """Return the fields of the record's `WindowState` for a window between two samples, `disturbed` not yet decided."""
    seconds = end.wall - start.wall
    own = end.own - start.own
    busy, steal, throttled = (
        None if None in (first, last) else max(0.0, last - first)  # type: ignore[operator]
        for first, last in (
            (start.busy, end.busy), (start.steal, end.steal), (start.throttled, end.throttled)
        )
    )  # fmt: skip
    if busy is not None and own > seconds * _RESOLUTION and busy + 2 * _RESOLUTION * start.cores < _HIDDEN * own:
        busy = steal = None
    whole = seconds * start.cores
    left_free = max(0.0, seconds * (start.cores + start.free) - max(whole, own))  # helper threads may use more cores

    def share(spent: float | None) -> float | None:
        return None if spent is None or whole <= 0 else spent / whole

    return {
        "seconds": seconds,
        "own": share(own),
        # What others do on cores that the trial has no threads for takes nothing from it.
        "others": share(None if busy is None else max(0.0, busy - own - left_free)),
        "steal": share(steal),
        "throttled": share(throttled),
        "stood_still_s": end.stood_still - start.stood_still,
        "cores": end.cores,
        "gpus": list(end.gpus),
        "hand_over_ns": [one.hand_over_ns for one in (start, end) if one.hand_over_ns is not None],
    }


def find(
    states: Sequence[WindowState], cores: int | None = None, reference: Sequence[float] = ()
) -> list[Disturbance | None]:
    """Return for each window what disturbed it most, or None.

    Args:
        states: the windows, in order.
        cores: number of cores that the trial could use when it began; default: that of the first window.
        reference: GFLOP/s of each measurement of the reference. If it moved, nobody knows in which window: then all
            are disturbed.
    """
    if not states:
        return []
    began = cores if cores is not None else states[0].cores
    moved = _moved(reference)
    usual = hand_over.usual(time for state in states for time in known(state))
    return [_of(state, states[0], began) or _placed_otherwise(state, usual) or moved for state in states]


def known(state: WindowState) -> list[float]:
    """Return the times of the hand-over at the edges of a window that are known, nanoseconds."""
    return [time for time in state.hand_over_ns if time is not None]


def _placed_otherwise(state: WindowState, usual: float | None) -> Disturbance | None:
    """Return that the cores were placed otherwise than in most windows, or None."""
    times = [time for time in known(state) if hand_over.moved(time, usual)]
    if not times or usual is None:
        return None
    worst = max(times, key=lambda time: abs(time - usual))
    return Disturbance(hand_over.OTHERWISE, abs(worst - usual), hand_over.figure(worst, usual))


def why_left_out(found: Sequence[Disturbance | None]) -> str:
    """Say in one line what disturbed how many windows; empty if nothing did.

    >>> work = [Disturbance("other work", size, f"{size:.0%} of the cores") for size in (0.2, 0.4)]
    >>> why_left_out([*work, None])
    'other work (2 of 3 windows, up to 40% of the cores)'
    """
    kinds: dict[str, list[Disturbance]] = {}
    for one in filter(None, found):
        kinds.setdefault(one.what, []).append(one)
    return "; ".join(
        f"{what} ({len(group)} of {len(found)} windows, {_most(group)})"
        for what, group in sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    )


def _most(group: Sequence[Disturbance]) -> str:
    worst = max(group, key=lambda one: one.size)
    return worst.figure if len({one.figure for one in group}) == 1 else f"up to {worst.figure}"


def _moved(reference: Sequence[float]) -> Disturbance | None:
    """Return that the reference moved, or None."""
    known = [value for value in reference if value > 0]
    if len(known) < 2 or 1 - min(known) / max(known) <= REFERENCE_MOVED:
        return None
    ends = f"the reference moved from {known[0]:.0f} to {known[-1]:.0f} GFLOP/s"
    between = f"the reference moved between {min(known):.0f} and {max(known):.0f} GFLOP/s"
    moved = abs(known[-1] / known[0] - 1) > REFERENCE_MOVED
    return Disturbance("the machine changed its speed", 1 - min(known) / max(known), ends if moved else between)


def _of(state: WindowState, first: WindowState, cores: int | None) -> Disturbance | None:
    """Return the most important disturbance of a window: what stops it before what slows it, what is known first."""
    found = [_stood_still(state), _cores(state, cores), _taken(state), *_gpus(state, first)]
    return next(filter(None, found), None)


def _stood_still(state: WindowState) -> Disturbance | None:
    seconds = state.stood_still_s
    return Disturbance("the process was stopped", seconds, f"for {seconds:.1f} s") if seconds else None


def _cores(state: WindowState, cores: int | None) -> Disturbance | None:
    now = state.cores
    if now is None or cores is None or now == cores:
        return None
    return Disturbance("the trial's cores changed", abs(now - cores), f"from {cores} to {now}")


def _taken(state: WindowState) -> Disturbance | None:
    """Return what took core seconds from the trial, the largest part of it, if all parts together exceed the limit."""
    parts = {
        OTHER_WORK: state.others,
        "other machines on the same host": state.steal,
        "a CPU quota": state.throttled,
    }
    taken = sum(part or 0.0 for part in parts.values())
    if state.seconds and taken > TAKEN + _RESOLUTION / state.seconds:
        what, largest = max(parts.items(), key=lambda part: part[1] or 0.0)
        return Disturbance(what, largest or 0.0, f"{largest or 0.0:.0%} of its cores")
    return Disturbance(UNKNOWN, 0.0, _ONLY_UNKNOWN) if state.others is None else None


def _gpus(state: WindowState, first: WindowState) -> Iterable[Disturbance | None]:
    for index, gpu in enumerate(state.gpus):
        if gpu.other_processes is None:
            yield Disturbance("what else ran on a GPU is unknown", 0.0, "NVML names no process")
        elif gpu.other_processes:
            yield Disturbance(
                "other work on a GPU",
                gpu.other_processes,
                counted(gpu.other_processes, "more process", "more processes"),
            )
        before = first.gpus[index].power_limit_w if index < len(first.gpus) else None
        if before and gpu.power_limit_w and gpu.power_limit_w != before:
            change = f"from {before:.0f} to {gpu.power_limit_w:.0f} W"
            yield Disturbance("a GPU's power limit changed", abs(gpu.power_limit_w - before), change)
