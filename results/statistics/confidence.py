"""Means and differences of cells with their t-intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from results.statistics.pair_errors import error_of, noise_of
from results.statistics.pooling import Pool, Seeds, Values, degrees_of_freedom, pool


@dataclass(frozen=True)
class Interval:
    """A cell's mean with its confidence interval, in the unit of the values.

    Attributes:
        mean: NaN without values.
        low, high: the interval; NaN when the seeds do not allow one.
        sd: the cell's own standard deviation; NaN with fewer than two seeds.
        n: number of seeds.
        method: "pooled", "own" (noisier than the others: its own variance), "constant" (all seeds equal: no noise to
            judge), "none".
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
        method: "pooled", "welch" (a cell of the two has its own variance) or "none".
    """

    estimate: float
    low: float
    high: float
    p: float
    df: float
    method: str


def intervals(cells: Mapping[str, Values] | Mapping[str, Seeds], level: float = 0.95) -> dict[str, Interval]:
    """Compute mean and t-interval of each cell: `mean ± t(df) s / sqrt(n)`.

    s is the larger of that of `pool` and of the cell's own; an outlier, or a cell that is seen to be noisier than the
    others, has its own alone, and its own df. For cells given as {seed: value}, df is that of `degrees_of_freedom`.

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
    if name in shared.unpooled or name in shared.noisier:
        method, spread, df = "own", sd, n - 1
    half = float(stats.t.ppf((1 + level) / 2, df)) * spread / np.sqrt(n)
    return Interval(mean, mean - half, mean + half, sd, n, method)


def difference(first: Values, second: Values, shared: Pool | None = None, *, level: float = 0.95) -> Difference:
    """Compare two cells, baseline and candidate.

    Args:
        first, second: shapes (n,) and (m,).
        shared: the noise of their run; without it the test is that of Welch (1947).
        level: level of the interval, 0 to 1.
    """
    return between({"first": first, "second": second}, "first", "second", _nameless(shared), level)


def between(
    cells: Mapping[str, Values], first: str, second: str, shared: Pool | None, level: float = 0.95
) -> Difference:
    """Compare two cells by the noise of their run (`error_of`).

    Args:
        cells: {name: array of shape (seeds,)}.
        first, second: names of cells.
        shared: the noise of the run; None: Welch's test.
        level: level of the interval, 0 to 1.
    """
    a, b = (np.asarray(cells[name], float) for name in (first, second))
    nan = float("nan")
    if not len(a) or not len(b):
        return Difference(nan, nan, nan, nan, nan, "none")
    noise = noise_of((first, second), (a, b), shared)
    error, df = (float(np.squeeze(found)) for found in error_of(noise[0], noise[1], shared))
    d = float(b.mean() - a.mean())
    if not (error > 0 and df > 0):
        # There is no estimate of noise. A difference of zero is still a fact.
        same = error == 0 and d == 0
        return Difference(d, *((0.0, 0.0, 1.0) if same else (nan, nan, nan)), df, "welch" if same else "none")
    half = float(stats.t.ppf((1 + level) / 2, df)) * error
    method = "welch" if (noise.apart | noise.noisier).any() else "pooled"
    return Difference(d, d - half, d + half, float(2 * stats.t.sf(abs(d) / error, df)), df, method)


def standard_error(a: np.ndarray, b: np.ndarray, shared: Pool | None) -> tuple[float, float, str]:
    """Compute the standard error of `mean(b) - mean(a)`, its degrees of freedom, and its method.

    It is `error_of` for two samples that both share a noise, or both have their own, at a tenth of its time: the gate
    asks for it cell by cell.

    Args:
        a, b: shapes (n,) and (m,).
        shared: the noise of their run; None: each has its own.

    Returns:
        The error in the unit of the values, the degrees of freedom, and "pooled" or "welch".

    Source: Welch (1947), with Satterthwaite's degrees of freedom.
    """
    if shared is not None:
        first, second = (float(values.var(ddof=1)) if len(values) > 1 else shared.variance for values in (a, b))
        alone = first / len(a) + second / len(b)
        return float(np.sqrt(max(shared.variance * (1 / len(a) + 1 / len(b)), alone))), shared.df, "pooled"
    va, vb = (float(values.var(ddof=1)) / len(values) if len(values) > 1 else float("nan") for values in (a, b))
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1)) if va + vb > 0 else float("nan")
    return float(np.sqrt(va + vb)), df, "welch"


def _nameless(shared: Pool | None) -> Pool | None:
    """Return a noise that any two samples share."""
    return shared and Pool(shared.variance, shared.df)
