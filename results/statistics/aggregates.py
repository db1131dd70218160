"""Statistics over several data sets: how methods do. Pure functions.

In a mean over data sets, the one that is easiest to improve, or one outlier, dominates. A mean over seeds alone does
not show how often the winner would win again. Agarwal et al. (2021, arXiv 2108.13264) recommend interquartile means
with stratified bootstrap intervals, performance profiles and probabilities of improvement. This file implements these.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from results.statistics.pooling import Values


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval; `low` and `high` are NaN if the values do not vary or are too few."""

    value: float
    low: float
    high: float


def probability_of_improvement(first: Values, second: Values) -> float:
    """Compute the probability that a run of the second beats one of the first, U / (n m); a tie counts half.

    Args:
        first, second: shapes (n,) and (m,).

    Returns:
        0 to 1; NaN when one is empty.

    Source: Mann and Whitney (1947).

    >>> probability_of_improvement([0.50, 0.52], [0.52, 0.55])
    0.875
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if not len(a) or not len(b):
        return float("nan")
    return float((b[:, None] > a[None, :]).mean() + 0.5 * (b[:, None] == a[None, :]).mean())


def interquartile_mean(tasks: Sequence[Values], level: float = 0.95, draws: int = 2000, seed: int = 0) -> Estimate:
    """Compute the mean of the middle half of all runs of all tasks, with a bias-corrected and accelerated interval.

    Args:
        tasks: per task (data set) its runs, shape (seeds,); they are resampled within their task.
        level, draws, seed: parameters of the bootstrap. Plain percentiles have too low a coverage below 6 seeds.

    Sources: Agarwal et al. (2021, arXiv 2108.13264); Efron (1987).
    """
    kept = [np.asarray(task, float) for task in tasks if len(task)]
    nan = float("nan")
    if not kept:
        return Estimate(nan, nan, nan)
    value = float(stats.trim_mean(np.concatenate(kept), 0.25))
    if any(len(task) < 2 for task in kept) or not any(np.ptp(task) for task in kept):
        return Estimate(value, nan, nan)

    def statistic(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        return stats.trim_mean(np.concatenate(samples, axis=axis), 0.25, axis=axis)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate interval is NaN
        found = stats.bootstrap(
            kept, statistic, n_resamples=draws, confidence_level=level, method="BCa", vectorized=True,
            rng=np.random.default_rng(seed),
        )  # fmt: skip
    return Estimate(value, float(found.confidence_interval.low), float(found.confidence_interval.high))


def performance_profile(tasks: Sequence[Values], thresholds: Values) -> np.ndarray:
    """Compute the share of runs above each threshold; every task has the same weight.

    Args:
        tasks: per task (data set) its runs, shape (seeds,).
        thresholds: shape (thresholds,), in the unit of the values.

    Returns:
        Shares of shape (thresholds,), 0 to 1; NaN when no task has a run.

    Source: Agarwal et al. (2021, arXiv 2108.13264). The profile is robust to outliers.
    """
    grid = np.asarray(thresholds, float)
    shares = [(np.asarray(task, float)[:, None] > grid).mean(axis=0) for task in tasks if len(task)]
    return np.mean(shares, axis=0) if shares else np.full(grid.shape, np.nan)
