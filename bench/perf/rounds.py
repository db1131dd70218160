"""Measurements in rounds in which the sides take turns, because the speed of a machine drifts."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def milliseconds(sides: Mapping[str, Callable[[], object]], rounds: int, **options: Any) -> dict[str, float]:
    """Return `medians` in milliseconds."""
    return {name: 1e3 * value for name, value in medians(sides, rounds, **options).items()}


def medians(sides: Mapping[str, Callable[[], object]], rounds: int, **options: Any) -> dict[str, float]:
    """Return the median seconds of one call of each side, see `times`."""
    return {name: statistics.median(values) for name, values in times(sides, rounds, **options).items()}


def times(
    sides: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: int = 1, seconds: float = float("inf")
) -> dict[str, list[float]]:
    """Return the seconds of one call of each side per round.

    Every other round calls the sides in reverse order, so that no side always follows the same other.

    Args:
        sides: functions by name. Each returns when its work is done (it waits for the device itself). If it returns a
            function, only the call of that function is timed, and the first call was preparation.
        rounds: most rounds.
        warm_up: calls of each side before the first round.
        seconds: no further round starts after this time, but at least three are done (or `rounds`, if fewer).
    """
    for _ in range(warm_up):
        for run in sides.values():
            run()
    found: dict[str, list[float]] = {name: [] for name in sides}
    began = time.perf_counter()
    done = 0
    while done < min(rounds, 3) or (done < rounds and time.perf_counter() - began < seconds):
        for name in list(sides) if done % 2 == 0 else reversed(list(sides)):
            found[name].append(_seconds(sides[name]))
        done += 1
    return found


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    prepared = run()
    if callable(prepared):
        start = time.perf_counter()
        prepared()
    return time.perf_counter() - start


def in_fresh_process(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a fresh process and return its result.

    For measurements of memory: the largest resident set of a forked child starts with its parent's, and earlier
    measurements leave a heap behind.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def quartiles(above: list[float], below: list[float]) -> tuple[float, float]:
    """Return lower and upper quartile of `above / below` over the rounds, a measure of the spread of the ratio."""
    low, _, high = statistics.quantiles([a / b for a, b in zip(above, below, strict=True)], n=4, method="inclusive")
    return low, high
