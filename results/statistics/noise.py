"""Statistics of benchmark cells over seeds: pure functions on arrays.

A cell is a setting, a seed a repetition; a value is a trial's mIoU. With the usual 3 seeds a cell alone knows almost
nothing of its own noise (2 degrees of freedom), so the cells of one run lend each other their variance, as the one-way
analysis of variance does (Fisher 1925; Box, Hunter and Hunter 2005, chapter 4). A cell that is far noisier than the
rest keeps its own variance. What each rule can and cannot say: docs/statistics.md.
"""

import math
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, combinations, count
from typing import Any

import numpy as np
from scipy import optimize, stats

Values = Sequence[float] | np.ndarray

# A cell whose standard deviation is this many times the median cell's, and surely so, does not share its variance.
WILD = 3.0
# Taking shared seeds out as blocks pays only when the cells' values go up and down together, by this much.
CORRELATED = 0.3


@dataclass(frozen=True)
class Pool:
    """A variance shared by cells: `variance` with `df` degrees of freedom; `apart` are the cells left out of it."""

    variance: float
    df: float
    apart: tuple[str, ...] = ()

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.variance))


@dataclass(frozen=True)
class Interval:
    """A cell's mean with its confidence interval; `low` and `high` are NaN when the seeds do not allow one.

    `method`: "pooled", "own" (a wild cell, its own variance), "constant" (all seeds equal: no noise to judge), "none".
    """

    mean: float
    low: float
    high: float
    sd: float
    n: int
    method: str


@dataclass(frozen=True)
class Difference:
    """`estimate` = mean of the second minus mean of the first, its interval, and the two-sided p-value (NaN: no test).

    `method`: "pooled", "welch" or "none".
    """

    estimate: float
    low: float
    high: float
    p: float
    df: float
    method: str


@dataclass(frozen=True)
class Ranking:
    """Cells from best to worst. Two cells that share a letter of `groups` cannot be told apart.

    `p` holds the Holm-adjusted two-sided p-value of each pair (better, worse), called different at `alpha` or below;
    `correlation` is that of shared seeds.
    """

    order: tuple[str, ...]
    groups: dict[str, str]
    p: dict[tuple[str, str], float]
    pool: Pool | None
    method: str
    correlation: float
    alpha: float = 0.05

    def alike(self, one: str, other: str) -> bool:
        """Whether two cells cannot be told apart."""
        return not self.p.get((one, other), self.p.get((other, one), math.nan)) <= self.alpha


def pool(cells: Mapping[str, Values], wild: float = WILD) -> Pool | None:
    """The variance within cells, `sum (n_c - 1) s_c^2 / sum (n_c - 1)`; None when no cell has two different values.

    Left apart: cells whose standard deviation exceeds `wild` times the median cell's while an F-test against the other
    cells' variance rejects at 1 % (Bonferroni over the cells; with 2 seeds a factor of 3 alone is chance), and cells
    whose seeds are all equal (a collapsed trial repeats itself exactly; its zero would make the others look surer).
    """
    repeated = {name: np.asarray(values, float) for name, values in cells.items() if len(values) > 1}
    sds = {name: float(values.std(ddof=1)) for name, values in repeated.items() if np.ptp(values) > 0}
    if not sds:
        return None
    calm = {name for name, sd in sds.items() if sd <= wild * float(np.median(list(sds.values())))}
    variance, df = _within([repeated[name] for name in sds if name in calm])
    kept = [
        name
        for name, sd in sds.items()
        if name in calm or stats.f.sf(sd**2 / variance, len(repeated[name]) - 1, df) > 0.01 / len(sds)
    ]
    variance, df = _within([repeated[name] for name in kept])
    return Pool(variance, df, tuple(name for name in repeated if name not in kept))


def _within(cells: Sequence[np.ndarray]) -> tuple[float, int]:
    df = sum(len(values) - 1 for values in cells)
    return sum(float(((values - values.mean()) ** 2).sum()) for values in cells) / df, df


def intervals(
    cells: Mapping[str, Values] | Mapping[str, Mapping[int, float]], level: float = 0.95
) -> dict[str, Interval]:
    """Mean and t-interval of each cell, `mean ± t(df) s / sqrt(n)`, s and df from `pool` (a wild cell: its own).

    Of cells given as {seed: value} the degrees of freedom are those of `degrees_of_freedom`.
    """
    lists = {name: np.array([*_of(values)], float) for name, values in cells.items()}
    shared = pool(lists)
    seeds = {name: values for name, values in cells.items() if isinstance(values, Mapping)}
    if shared and len(seeds) == len(cells):
        inside = {name: values for name, values in seeds.items() if name not in shared.apart}
        shared = replace(shared, df=degrees_of_freedom(inside))
    return {name: _interval(name, values, shared, level) for name, values in lists.items()}


def _of(values: Values | Mapping[int, float]) -> Iterable[float]:
    return values.values() if isinstance(values, Mapping) else values


def degrees_of_freedom(cells: Mapping[Any, Mapping[int, float]]) -> float:
    """Those of the variance that cells {seed: value} share: n - 1 of each, and fewer where the cells of a seed move
    together, because then each tells in part what the others did (Satterthwaite 1946, for seeds and the rest)."""
    table = _table(cells)
    found = None if table is None else _together(table)
    if table is None or found is None:
        return sum(len(values) - 1 for values in cells.values() if len(values) > 1)
    between, rest, _ = found
    others, columns = table.shape[0] - 1, table.shape[1]
    return (columns - 1) * (between + others * rest) ** 2 / (between**2 + others * rest**2)


def _interval(name: str, values: np.ndarray, shared: Pool | None, level: float) -> Interval:
    n, nan = len(values), float("nan")
    if n == 0:
        return Interval(nan, nan, nan, nan, 0, "none")
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if n > 1 else nan
    if n > 1 and np.ptp(values) == 0:
        return Interval(mean, nan, nan, 0.0, n, "constant")
    if shared is None:
        return Interval(mean, nan, nan, sd, n, "none")
    method, spread, df = ("own", sd, n - 1) if name in shared.apart else ("pooled", shared.sd, shared.df)
    half = float(stats.t.ppf((1 + level) / 2, df)) * spread / np.sqrt(n)
    return Interval(mean, mean - half, mean + half, sd, n, method)


def smallest_detectable(
    sd: float, n: int, df: float, *, alpha: float = 0.05, power: float = 0.8, sides: int = 2
) -> float:
    """The true difference between two cells of `n` seeds that a t-test at `alpha` finds with probability `power`.

    Solved with the noncentral t distribution (Cohen 1988, chapter 2). With many degrees of freedom and one side this is
    the familiar 2.03 sd at n = 3, 1.57 at 5, 1.11 at 10.
    """
    if not (n > 0 and df > 0 and sd > 0):
        return float("nan")
    return float(detectable_shift(df, alpha / sides, power) * sd * np.sqrt(2 / n))


@cache
def detectable_shift(df: float, alpha: float, power: float) -> float:
    """The true difference, in standard errors, that a one-sided t-test at `alpha` finds with probability `power`."""
    critical = float(stats.t.ppf(1 - alpha, df))
    return float(optimize.brentq(lambda d: float(stats.nct.sf(critical, df, d)) - power, 0.0, 4 * critical + 10))


def power_of_t(df: float, alpha: float, shift: float, least: float = 0.0) -> float:
    """Chance that a one-sided t-test at `alpha` finds a true difference of `shift` standard errors, its estimate being
    at least `least` standard errors as well: noncentral t; integrated over the error's noise when `least` is set."""
    critical = float(stats.t.ppf(1 - alpha, df))
    if least == 0:
        return float(stats.nct.sf(critical, df, shift))
    # The estimate is normal, its error an independent chi: both must let it pass.
    scale = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, df) / df)
    return float(stats.norm.sf(np.maximum(critical * scale, least) - shift).mean())


def seed_correlation(table: np.ndarray | Sequence[Sequence[float]]) -> float:
    """How strongly the cells (rows) move together over shared seeds (columns): the intraclass correlation of the seeds.

    From the two-way analysis of variance without interaction, Shrout and Fleiss (1979), form (3,1).
    """
    rows, columns = np.shape(table)
    seeds, residual = mean_squares(np.asarray(table, float))
    total = seeds + (rows - 1) * residual
    return float((seeds - residual) / total) if columns > 1 and rows > 1 and total > 0 else float("nan")


def mean_squares(table: np.ndarray) -> tuple[float, float]:
    """Mean squares of seeds (columns) and of what remains, in a complete block design."""
    rows, columns = table.shape
    if rows < 2 or columns < 2:
        return float("nan"), float("nan")
    by_seed = table.mean(axis=0, keepdims=True) - table.mean()
    rest = table - table.mean(axis=1, keepdims=True) - by_seed
    return float(rows * (by_seed**2).sum() / (columns - 1)), float((rest**2).sum() / ((rows - 1) * (columns - 1)))


def difference(first: Values, second: Values, shared: Pool | None = None, *, level: float = 0.95) -> Difference:
    """Compare two cells, baseline and candidate, with the run's `pool`; without it by Welch's test (1947)."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    nan = float("nan")
    if not len(a) or not len(b):
        return Difference(nan, nan, nan, nan, nan, "none")
    d = float(b.mean() - a.mean())
    error, df, method = standard_error(a, b, shared)
    if not (error > 0 and df > 0):
        # Nothing speaks of noise. A difference of zero is a fact all the same.
        same = error == 0 and d == 0
        return Difference(d, *((0.0, 0.0, 1.0) if same else (nan, nan, nan)), df, method if same else "none")
    half = float(stats.t.ppf((1 + level) / 2, df)) * error
    return Difference(d, d - half, d + half, float(2 * stats.t.sf(abs(d) / error, df)), df, method)


def between(
    cells: Mapping[str, Values], first: str, second: str, shared: Pool | None, level: float = 0.95
) -> Difference:
    """`difference` of two cells with the pool of their run, or by Welch's test where one of them is left out of it."""
    apart = shared is not None and {first, second} & set(shared.apart)
    return difference(cells[first], cells[second], None if apart else shared, level=level)


def standard_error(a: np.ndarray, b: np.ndarray, shared: Pool | None) -> tuple[float, float, str]:
    """Standard error of `mean(b) - mean(a)`, its degrees of freedom, and whether it is "pooled" or "welch"."""
    if shared is not None:
        return shared.sd * float(np.sqrt(1 / len(a) + 1 / len(b))), shared.df, "pooled"
    va, vb = _error(a) ** 2, _error(b) ** 2
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1)) if va + vb > 0 else float("nan")
    return float(np.sqrt(va + vb)), df, "welch"


def _error(values: np.ndarray) -> float:
    """Standard error of the mean; NaN for one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def holm(p: Values) -> np.ndarray:
    """Holm's (1979) step-down adjusted p-values: rejecting those <= alpha, any false alarm has chance <= alpha.

    NaN (no test was possible) stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    adjusted = np.full(p.shape, np.nan)
    order = [index for index in np.argsort(p, kind="stable") if not np.isnan(p[index])]
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * p[index]))
        adjusted[index] = worst
    return adjusted


def rank(cells: Mapping[str, Mapping[int, float]], alpha: float = 0.05) -> Ranking:
    """Order cells {name: {seed: value}} from best (largest mean) to worst and say which cannot be told apart.

    All pairs are tested and Holm-adjusted, which also pays for picking the winner after the fact. The error is the
    pooled one; when all cells ran the same seeds and these correlate above `CORRELATED` (block F-test at 5 % as well),
    the seeds are taken out as blocks. Pairs with a wild or a constant cell are tested by Welch's t. Where no test is
    possible (one seed everywhere) nothing can be told apart.
    """
    kept = {name: values for name, values in cells.items() if values}
    order = tuple(sorted(kept, key=lambda name: (-float(np.mean([*kept[name].values()])), name)))
    values = {name: [*seeds.values()] for name, seeds in kept.items()}
    shared = pool(values)
    blocks, correlation = _blocks(kept, shared)
    pairs = list(combinations(order, 2))
    error = blocks or shared
    tests = [between(values, b, a, error) for a, b in pairs]
    adjusted = dict(zip(pairs, holm([test.p for test in tests]).tolist(), strict=True))
    groups = _letters(order, {pair for pair, p in adjusted.items() if p <= alpha})
    method = "blocked" if blocks else "pooled" if shared else "none"
    return Ranking(order, groups, adjusted, error, method, correlation, alpha)


def _blocks(cells: Mapping[str, Mapping[int, float]], shared: Pool | None) -> tuple[Pool | None, float]:
    """The error with the seeds' common effect removed, when there is one; and the seeds' correlation."""
    inside = {name: values for name, values in cells.items() if shared and name not in shared.apart}
    table = _table(inside)
    if table is None:
        return None, float("nan")
    found, correlation = _together(table), seed_correlation(table)
    if found is None:
        return None, correlation
    _, rest, df = found
    return Pool(rest, df, shared.apart if shared else ()), correlation


def _table(cells: Mapping[Any, Mapping[int, float]]) -> np.ndarray | None:
    """Cells by seeds; None where cells ran other seeds than each other, or there are fewer than two of either."""
    seeds = [set(values) for values in cells.values()]
    if len(cells) < 2 or any(one != seeds[0] for one in seeds) or len(seeds[0]) < 2:
        return None
    return np.array([[values[seed] for seed in sorted(seeds[0])] for values in cells.values()], float)


def _together(table: np.ndarray) -> tuple[float, float, int] | None:
    """Mean squares of the seeds and of the rest, with the latter's degrees of freedom, of cells that move together:
    they correlate above `CORRELATED`, and the F-test of the seeds rejects at 5 %. Else None."""
    between, rest = mean_squares(table)
    df = (table.shape[0] - 1) * (table.shape[1] - 1)
    if not (rest > 0 and seed_correlation(table) > CORRELATED):
        return None
    return (between, rest, df) if stats.f.sf(between / rest, table.shape[1] - 1, df) < 0.05 else None


def _letters(order: Sequence[str], differ: set[tuple[str, str]]) -> dict[str, str]:
    """Compact letters (Piepho 2004): a letter is a largest set of cells no two of which differ."""
    alike = {a: {b for b in order if a != b and (a, b) not in differ and (b, a) not in differ} for a in order}
    sets: list[set[str]] = []

    def grow(chosen: set[str], candidates: set[str], seen: set[str]) -> None:
        # Bron and Kerbosch (1973) with a pivot: all largest sets of mutually alike cells.
        if not candidates and not seen:
            sets.append(chosen)
            return
        pivot = max(sorted(candidates | seen), key=lambda name: len(alike[name] & candidates))
        for name in sorted(candidates - alike[pivot]):
            grow(chosen | {name}, candidates & alike[name], seen & alike[name])
            candidates, seen = candidates - {name}, seen | {name}

    grow(set(), set(order), set())
    sets.sort(key=lambda group: sorted(order.index(name) for name in group))
    # No symbol is part of another: a cell shows several side by side.
    numbered = (f"({number})" for number in count(len(string.ascii_letters) + 1))
    symbols = chain(string.ascii_letters, numbered)
    letters = dict(zip(symbols, sets, strict=False))
    return {name: "".join(letter for letter, group in letters.items() if name in group) for name in order}
