"""The noise that cells share: its pooled variance, its degrees of freedom, and the common effect of the seeds.

A cell is a setting, a seed is a repetition, a value is a trial's score (mIoU: a fraction in 0..1). With the usual
3 seeds the noise of one cell is hardly known (2 degrees of freedom). So the cells of one run share their variance, as
in the one-way analysis of variance (Fisher 1925; Box, Hunter and Hunter 2005, chapter 4). An outlier, a cell that is
far noisier than the rest, keeps its own variance. What each rule can and cannot show: docs/statistics.md.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from scipy import special, stats

Key = TypeVar("Key", bound=Hashable)
Values = Sequence[float] | np.ndarray
Seeds = Mapping[int, float]

# A cell whose standard deviation is significantly above this many times the median cell's does not share its variance.
# Milder ones stay in the pool, because a pool without them is too small for the noisy cells that chance left in it
# (docs/gate.md).
OUTLIER = 5.0
_OUTLIER_LEVEL = 0.001
NOISIER = 0.05
"""Level of the F-test by which a cell that shares its variance is seen to be noisier than the others, and is judged by
its own alone. Where noise is equal it costs power, and a noisy cell that is not seen costs false alarms and coverage
(docs/statistics.md)."""
# A weaker correlation of the cells of a seed is not worth the degrees of freedom that it would cost their shared noise.
CORRELATED = 0.3


@dataclass(frozen=True)
class Pool:
    """A variance that cells share, and the names of the cells that do not share it.

    Attributes:
        variance: in squared units of the values.
        df: degrees of freedom; not always a whole number.
        unpooled: names of the cells that are left out.
        own: {name: own variance} of the cells where it is not that of the values: the common effect of the seeds is
            taken out of it, too.
        noisier: names of the cells that share their variance, but are judged by their own alone (`noisier`).
    """

    variance: float
    df: float
    unpooled: tuple[str, ...] = ()
    own: Mapping[str, float] = field(default_factory=dict)
    noisier: tuple[str, ...] = ()

    @property
    def sd(self) -> float:
        """Return the standard deviation, in the unit of the values."""
        return float(np.sqrt(self.variance))


@dataclass(frozen=True)
class SeedEffect:
    """The common effect of a seed on its cells: mean squares of the seeds and of the rest, and the df of the rest."""

    seeds: float
    rest: float
    df: int


def pool(cells: Mapping[str, Values], outlier: float = OUTLIER) -> Pool | None:
    """Pool the variance within cells: `sum (n_c - 1) s_c^2 / sum (n_c - 1)`.

    Two kinds of cells are left out. Outliers have a standard deviation above `outlier` times the median cell's, and an
    F-test against the variance of the other cells rejects at 0.1 % (Bonferroni over the cells). The test is needed
    because with 2 seeds a factor of 5 may be chance. Constant cells have equal values for all seeds: a collapsed
    training repeats itself exactly, and its variance of zero would make the others look too certain.

    A cell that is `noisier` than the others, but no outlier, stays in the pool.

    Args:
        cells: {name: array of shape (seeds,)}; cells may have different numbers of seeds.
        outlier: factor of the first rule; `math.inf` keeps every cell that varies.

    Returns:
        The pool, or None when no cell has two different values.

    Source: Fisher (1925).
    """
    repeated = {name: np.asarray(values, float) for name, values in cells.items() if len(values) > 1}
    sds = {name: float(values.std(ddof=1)) for name, values in repeated.items() if np.ptp(values) > 0}
    if not sds:
        return None
    usual = {name for name, sd in sds.items() if sd <= outlier * float(np.median(list(sds.values())))}
    variance, df = _within([repeated[name] for name in sds if name in usual])
    kept = [
        name
        for name, sd in sds.items()
        if name in usual or stats.f.sf(sd**2 / variance, len(repeated[name]) - 1, df) > _OUTLIER_LEVEL / len(sds)
    ]
    variance, df = _within([repeated[name] for name in kept])
    free = {name: len(repeated[name]) - 1.0 for name in kept}
    seen = noisier({name: sds[name] ** 2 * free[name] for name in kept}, free)
    return Pool(variance, df, tuple(name for name in repeated if name not in kept), noisier=seen)


def noisier(squares: Mapping[Key, float], free: Mapping[Key, float], level: float = NOISIER) -> tuple[Key, ...]:
    """Name the cells whose variance an F-test at `level` finds larger than that of the other cells.

    A shared variance lends them the smaller error of the others, so they are judged by their own variance with its own
    degrees of freedom. They stay in what the others share: a pool without them is too small for the noisy cells that
    were not seen.

    Args:
        squares: {name: sum of squared deviations} of cells that share their variance.
        free: {name: its degrees of freedom}.
        level: 0 to 1; 0 finds none.
    """
    names = [*squares]
    sums, df = (np.array([of[name] for name in names], float) for of in (squares, free))
    return tuple(name for name, seen in zip(names, noisier_cells(sums, df, level), strict=True) if seen)


def noisier_cells(
    squares: np.ndarray,
    free: np.ndarray,
    level: float = NOISIER,
    stopped: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Return which cells are `noisier` than the others, for many tables at once; the last axis is that of the cells.

    Args:
        squares, free: as of `noisier`, shape (..., cells); a cell without degrees of freedom takes no part.
        level: 0 to 1.
        stopped: squares and degrees of freedom, shape (..., 1) each, of further cells, which are among the others.
    """
    there = free > 0
    own, df = np.where(there, squares, 0.0), np.where(there, free, 0.0)
    rest, others = own.sum(-1, keepdims=True) - own, df.sum(-1, keepdims=True) - df
    if stopped is not None:
        rest, others = rest + stopped[0], others + stopped[1]
    with np.errstate(all="ignore"):  # one cell alone has no others
        p = special.fdtrc(df, others, (own / df) / (rest / others))
    return there & (rest > 0) & (p < level)


def _within(cells: Sequence[np.ndarray]) -> tuple[float, int]:
    df = sum(len(values) - 1 for values in cells)
    return sum(float(((values - values.mean()) ** 2).sum()) for values in cells) / df, df


def degrees_of_freedom(cells: Mapping[Any, Seeds]) -> float:
    """Count the degrees of freedom of the variance that cells share.

    They are n - 1 per cell. They are fewer if the cells of a seed are correlated (`seed_effect`), because each cell
    then repeats part of the information of the others.

    Args:
        cells: {name: {seed: value}}.

    Source: Satterthwaite (1946), for the seeds and the rest.
    """
    table = table_of(cells)
    effect = None if table is None else seed_effect(table)
    if table is None or effect is None or effect.rest == 0:
        return sum(len(values) - 1 for values in cells.values() if len(values) > 1)
    others, columns = table.shape[0] - 1, table.shape[1]
    return (columns - 1) * (effect.seeds + others * effect.rest) ** 2 / (effect.seeds**2 + others * effect.rest**2)


def table_of(cells: Mapping[Any, Seeds]) -> np.ndarray | None:
    """Arrange cells {name: {seed: value}} as an array of shape (cells, seeds), seeds in ascending order.

    Returns None if the cells did not all run the same seeds, or if there are fewer than two cells or seeds.
    """
    seeds = [set(values) for values in cells.values()]
    if len(cells) < 2 or any(one != seeds[0] for one in seeds) or len(seeds[0]) < 2:
        return None
    return np.array([[values[seed] for seed in sorted(seeds[0])] for values in cells.values()], float)


def seed_effect(table: np.ndarray, above: float = CORRELATED) -> SeedEffect | None:
    """Return what the seeds explain if the cells of a seed are correlated, else None.

    Cells are correlated if the F-test of the seeds rejects at 5 % and `seed_correlation` is larger than `above`. If
    cells are compared with each other (`rank`, `degrees_of_freedom`), a weak correlation is not worth the degrees of
    freedom that blocks cost, hence `CORRELATED`. In a mean over many cells the noise of the cells averages out, but the
    common effect of the seeds stays, so the gate's `headline` passes 0.

    Args:
        table: shape (cells, seeds).
        above: threshold of the correlation, 0 to 1.

    Source: Box, Hunter and Hunter (2005), chapter 4.
    """
    seeds, rest = mean_squares(table)
    rows, columns = table.shape
    effect = SeedEffect(seeds, rest, (rows - 1) * (columns - 1))
    if not seed_correlation(table) > above:
        return None
    if rest == 0:
        return effect
    return effect if stats.f.sf(seeds / rest, columns - 1, effect.df) < 0.05 else None


def seed_correlation(table: np.ndarray | Sequence[Sequence[float]]) -> float:
    """Compute the correlation of cells over shared seeds: the intraclass correlation of the seeds.

    Args:
        table: shape (cells, seeds).

    Returns:
        `-1 / (cells - 1)` to 1; NaN with fewer than two cells or seeds, or when nothing varies.

    Source: Shrout and Fleiss (1979), form (3,1): two-way analysis of variance without interaction.
    """
    rows, columns = np.shape(table)
    seeds, residual = mean_squares(np.asarray(table, float))
    total = seeds + (rows - 1) * residual
    return float((seeds - residual) / total) if columns > 1 and rows > 1 and total > 0 else float("nan")


def mean_squares(table: np.ndarray) -> tuple[float, float]:
    """Compute the mean squares of the seeds and of what remains, in a complete block design.

    Args:
        table: shape (cells, seeds).

    Returns:
        Both in squared units of the values; NaN with fewer than two cells or seeds.
    """
    rows, columns = table.shape
    if rows < 2 or columns < 2:
        return float("nan"), float("nan")
    by_seed = table.mean(axis=0, keepdims=True) - table.mean()
    rest = table - table.mean(axis=1, keepdims=True) - by_seed
    return float(rows * (by_seed**2).sum() / (columns - 1)), float((rest**2).sum() / ((rows - 1) * (columns - 1)))
