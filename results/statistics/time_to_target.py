"""The time to a target over seeds, some of which may end without it: a survival curve, its median, and a test.

A seed that ended without the target is censored: its time is longer than what was seen of it. Leaving it out, or
counting it as its end, would flatter the slow. AlgoPerf counts it as infinite (Dahl et al. 2023, arXiv 2306.07179);
MLPerf repeats a training until it reaches the target (Mattson et al. 2020, arXiv 1910.01500). The median here is
infinite too if the curve ends above one half.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MOST_SPLITS = 20_000
"""Number of random splits of the test if there are more than so many different ones."""


@dataclass(frozen=True)
class Time:
    """The time of one seed: to the target, or, if it was not `reached`, to the end of its training."""

    value: float
    reached: bool


@dataclass(frozen=True)
class TimeToTarget:
    """The median time of a cell to its target, in the unit of its times.

    Attributes:
        median: infinite if too few seeds reached the target; NaN without seeds.
        low, high: its confidence interval; `high` is infinite if the seeds give no upper end; NaN below two seeds.
        reached, seeds: number of seeds that reached the target, and of all.
    """

    median: float
    low: float
    high: float
    reached: int
    seeds: int


def median_time(times: Sequence[Time], level: float = 0.95) -> TimeToTarget:
    """Estimate the median time to a target (Kaplan and Meier 1958) and its interval (Brookmeyer and Crowley 1982).

    If the curve lies at one half between two times, the median is their mean: without a censored seed it is the usual
    median. The interval holds the times at which the pointwise log-log interval of the curve contains one half.

    >>> median_time([Time(10, True), Time(20, False), Time(30, True)]).median
    30.0

    Args:
        times: one per seed.
        level: confidence level, 0 to 1.
    """
    reached = sum(time.reached for time in times)
    if not times:
        return TimeToTarget(math.nan, math.nan, math.nan, 0, 0)
    if not reached:
        return TimeToTarget(math.inf, math.nan, math.nan, 0, len(times))
    at, left, low, high = _curve(times, level)
    ends = (math.nan, math.nan) if len(times) < 2 else (_first(at, low <= 0.5), _first(at, high <= 0.5))
    return TimeToTarget(_median(at, left), *ends, reached, len(times))


def shares(times: Sequence[Time]) -> tuple[np.ndarray, np.ndarray]:
    """Return when the share of the seeds that have reached the target rises, and to how much.

    Args:
        times: one per seed.

    Returns:
        Times of shape (steps,), rising, and shares of shape (steps,), 0 to 1, by Kaplan and Meier; both empty if no
        seed reached the target.
    """
    if not any(time.reached for time in times):
        return np.empty(0), np.empty(0)
    at, left, _, _ = _curve(times, 0.95)
    return at, 1 - left


def slower(base: Sequence[Time], head: Sequence[Time]) -> float:
    """Test whether head takes longer to the target than base, by Gehan's generalised Wilcoxon test (1965).

    Of each pair of seeds the later one counts, where that is known: a censored seed is later than what was reached
    before its end. The p-value is that of all ways to split the seeds over the two sides, or of `MOST_SPLITS` random
    ones if there are more. With three seeds a side it is at least 1/20.

    Args:
        base, head: one time per seed.

    Returns:
        The one-sided p-value, 0 to 1; NaN if a side is empty.
    """
    if not base or not head:
        return math.nan
    both = [*base, *head]
    later = np.array([[_later(one, other) - _later(other, one) for other in both] for one in both], float)

    def lead(first: np.ndarray, second: np.ndarray) -> float:
        return float(later[np.ix_(second.astype(int), first.astype(int))].sum())

    found = stats.permutation_test(
        (np.arange(len(base)), np.arange(len(base), len(both))), lead, vectorized=False, alternative="greater",
        n_resamples=MOST_SPLITS, rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.pvalue)


def _later(one: Time, other: Time) -> bool:
    """Return whether a seed surely took longer than another."""
    return other.reached and (one.value > other.value or (not one.reached and one.value == other.value))


def _curve(times: Sequence[Time], level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the times at which seeds reach the target, the share left after each, and its pointwise interval."""
    # Only the order of the times counts, and SciPy takes finite ones.
    never = 1 + max(time.value for time in times if math.isfinite(time.value))
    values = [min(time.value, never) for time in times]
    curve = stats.ecdf(stats.CensoredData.right_censored(values, [not time.reached for time in times])).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the interval of a share of 0 or 1 is not defined
        ends = curve.confidence_interval(level, method="log-log")
    at, left = curve.quantiles, curve.probabilities
    low, high = (np.where(np.isnan(end.probabilities), left, end.probabilities) for end in (ends.low, ends.high))
    kept = np.isin(at, [time.value for time in times if time.reached])
    return at[kept], left[kept], low[kept], high[kept]


def _median(at: np.ndarray, left: np.ndarray) -> float:
    below = np.flatnonzero(left <= 0.5 + 1e-12)
    if not len(below):
        return math.inf
    first = int(below[0])
    on_it = abs(left[first] - 0.5) <= 1e-12 and first + 1 < len(at)
    return float((at[first] + at[first + 1]) / 2 if on_it else at[first])


def _first(at: np.ndarray, holds: np.ndarray) -> float:
    return float(at[int(np.argmax(holds))]) if holds.any() else math.inf
