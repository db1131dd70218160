"""Measurements in rounds in which the sides take turns, because the speed of a machine drifts."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def milliseconds(sides: Mapping[str, Callable[[], object]], rounds: int, **options: Any) -> dict[str, float]:
    """`medians` in milliseconds."""
    return {name: 1e3 * value for name, value in medians(sides, rounds, **options).items()}


def medians(sides: Mapping[str, Callable[[], object]], rounds: int, **options: Any) -> dict[str, float]:
    """Median seconds of one call of each side; see `times`."""
    return {name: statistics.median(values) for name, values in times(sides, rounds, **options).items()}


def times(
    sides: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: int = 1, seconds: float = float("inf")
) -> dict[str, list[float]]:
    """Seconds of one call of each side, a call a round.

    A side returns once its work is done (it waits for the device itself), or returns a function, which is then what is
    timed: what went before was preparation. After `warm_up` calls of each there are at
    most `rounds` rounds, fewer (but three) when they would take longer than `seconds`. Every other round goes through
    the sides backwards, so that none is always measured behind the same other.
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
    """What it returns in a process of its own: a child's largest resident set starts with its parent's, and what was
    measured before leaves a heap behind."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def quartiles(above: list[float], below: list[float]) -> tuple[float, float]:
    """The quartiles of `above / below`, round by round: how far the ratio of the medians is to be trusted."""
    low, _, high = statistics.quantiles([a / b for a, b in zip(above, below, strict=True)], n=4, method="inclusive")
    return low, high
