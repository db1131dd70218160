"""Means and differences of cells with their t-intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from results.statistics.pooling import Pool, Seeds, Values, degrees_of_freedom, pool


@dataclass(frozen=True)
class Interval:
    """A cell's mean with its confidence interval, in the unit of the values.

    Attributes:
        mean: NaN without values.
        low, high: the interval; NaN when the seeds do not allow one.
        sd: the cell's own standard deviation; NaN with fewer than two seeds.
        n: number of seeds.
        method: "pooled", "own" (an outlier: its own variance), "constant" (all seeds equal: no noise to judge), "none".
    """

    mean: float
    low: float
    high: float
    sd: float
    n: int
    method: str


@dataclass(frozen=True)
class Difference:
    """The mean of the second cell minus the mean of the first, in the unit of the values.

    Attributes:
        estimate: the difference; NaN when one cell has no value.
        low, high: its confidence interval; NaN when no test was possible.
        p: two-sided p-value; NaN when no test was possible.
        df: degrees of freedom of the test.
        method: "pooled", "welch" or "none".
    """

    estimate: float
    low: float
    high: float
    p: float
    df: float
    method: str


def intervals(cells: Mapping[str, Values] | Mapping[str, Seeds], level: float = 0.95) -> dict[str, Interval]:
    """Compute mean and t-interval of each cell: `mean ± t(df) s / sqrt(n)`.

    s is the larger of that of `pool` and of the cell's own; an outlier has its own alone, and its own df. For cells
    given as {seed: value}, df is that of `degrees_of_freedom`.

    Args:
        cells: {name: array of shape (seeds,)} or {name: {seed: value}}.
        level: confidence level, 0 to 1.
    """
    lists = {name: np.array([*_values(values)], float) for name, values in cells.items()}
    shared = pool(lists)
    seeds = {name: values for name, values in cells.items() if isinstance(values, Mapping)}
    if shared and len(seeds) == len(cells):
        inside = {name: values for name, values in seeds.items() if name not in shared.unpooled}
        shared = replace(shared, df=degrees_of_freedom(inside))
    return {name: _interval(name, values, shared, level) for name, values in lists.items()}


def _values(values: Values | Seeds) -> Iterable[float]:
    return values.values() if isinstance(values, Mapping) else values


def _interval(name: str, values: np.ndarray, shared: Pool | None, level: float) -> Interval:
    n, nan = len(values), float("nan")
    if n == 0:
        return Interval(nan, nan, nan, nan, 0, "none")
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if n > 1 else nan
    if n > 1 and np.ptp(values) == 0:
        return Interval(mean, nan, nan, 0.0, n, "constant")
    if shared is None:
        return Interval(mean, nan, nan, sd, n, "none")
    method, spread, df = ("pooled", float(np.nanmax([shared.sd, sd])), shared.df)
    if name in shared.unpooled:
        method, spread, df = "own", sd, n - 1
    half = float(stats.t.ppf((1 + level) / 2, df)) * spread / np.sqrt(n)
    return Interval(mean, mean - half, mean + half, sd, n, method)


def difference(
    first: Values,
    second: Values,
    shared: Pool | None = None,
    own: tuple[float, float] | None = None,
    *,
    level: float = 0.95,
) -> Difference:
    """Compare two cells, baseline and candidate.

    Args:
        first, second: shapes (n,) and (m,).
        shared: the noise of their run; without it the test is that of Welch (1947).
        own: the own variances of the two; None for those of the values.
        level: level of the interval, 0 to 1.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    nan = float("nan")
    if not len(a) or not len(b):
        return Difference(nan, nan, nan, nan, nan, "none")
    d = float(b.mean() - a.mean())
    error, df, method = standard_error(a, b, shared, own)
    if not (error > 0 and df > 0):
        # There is no estimate of noise. A difference of zero is still a fact.
        same = error == 0 and d == 0
        return Difference(d, *((0.0, 0.0, 1.0) if same else (nan, nan, nan)), df, method if same else "none")
    half = float(stats.t.ppf((1 + level) / 2, df)) * error
    return Difference(d, d - half, d + half, float(2 * stats.t.sf(abs(d) / error, df)), df, method)


def between(
    cells: Mapping[str, Values], first: str, second: str, shared: Pool | None, level: float = 0.95
) -> Difference:
    """Compare two cells with the pool of their run, or by Welch's test where one of them is left out of it.

    Args:
        cells: {name: array of shape (seeds,)}.
        first, second: names of cells.
        shared: the noise of the run; None: Welch's test.
        level: level of the interval, 0 to 1.
    """
    if shared is None or {first, second} & set(shared.unpooled):
        return difference(cells[first], cells[second], None, level=level)
    known = first in shared.own and second in shared.own
    own = (shared.own[first], shared.own[second]) if known else None
    return difference(cells[first], cells[second], shared, own, level=level)


def standard_error(
    a: np.ndarray, b: np.ndarray, shared: Pool | None, own: tuple[float, float] | None = None
) -> tuple[float, float, str]:
    """Compute the standard error of `mean(b) - mean(a)`, its degrees of freedom, and its method.

    With a shared noise the error is the larger of that one's and of the two cells' own, so that noisy cells are not
    lent the smaller error of the others. A cell of one value has the shared variance.

    Args:
        a, b: shapes (n,) and (m,).
        shared: the noise of their run; None: each has its own.
        own: the own variances of the two; None for those of the values.

    Returns:
        The error in the unit of the values, the degrees of freedom, and "pooled" or "welch".

    Source: Welch (1947), with Satterthwaite's degrees of freedom.
    """
    if shared is not None:
        first, second = own or (float(values.var(ddof=1)) if len(values) > 1 else shared.variance for values in (a, b))
        alone = first / len(a) + second / len(b)
        return float(np.sqrt(max(shared.variance * (1 / len(a) + 1 / len(b)), alone))), shared.df, "pooled"
    va, vb = _error_of_mean(a) ** 2, _error_of_mean(b) ** 2
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1)) if va + vb > 0 else float("nan")
    return float(np.sqrt(va + vb)), df, "welch"


def _error_of_mean(values: np.ndarray) -> float:
    """Compute the standard error of the mean; NaN for one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
