"""Releases whose noise is uneven, for `bench.perf.gate`: the gate's rules over thousands of releases at a time.

`results.statistics.gate` judges one release; here the same rules are arrays of shape (releases, cells, seeds). The
suite holds the two against each other, release by release.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from results.statistics import gate, pooling


@dataclass(frozen=True)
class World:
    """One kind of unchanged release; a trial has a standard deviation of 1 unless something else is said.

    Attributes:
        name: for the table.
        cells: number of cells.
        seeds: of base and of head.
        same: whether head ran the first seeds of base, else other seeds.
        spread: standard deviation of the logarithm of the cells' standard deviations.
        wild: the last cell is so many times as noisy.
        tail: "normal", "t3" (Student's t with 3 degrees of freedom) or "collapse" (2 % of the trials end 12 lower).
        metrics: number of guarded metrics, whose noise is independent.
    """

    name: str
    cells: int = 7
    seeds: tuple[int, int] = (3, 3)
    same: bool = True
    spread: float = 0.0
    wild: float = 1.0
    tail: str = "normal"
    metrics: int = 1


WORLDS = (
    World("equal"),
    World("equal, other seeds", same=False),
    World("equal, 14 cells", cells=14),
    World("spread .3", spread=0.3),
    World("spread .3, other seeds", spread=0.3, same=False),
    World("spread .3, 14 cells", spread=0.3, cells=14),
    World("spread .5", spread=0.5),
    World("spread .5, other seeds", spread=0.5, same=False),
    World("spread .5, 14 cells", spread=0.5, cells=14),
    World("one cell x3", wild=3),
    World("one cell x3, other seeds", wild=3, same=False),
    World("one cell x3, 14 cells", wild=3, cells=14),
    World("one cell x6", wild=6),
    World("one cell x6, other seeds", wild=6, same=False),
    World("one cell x6, 14 cells", wild=6, cells=14),
    World("one cell x20", wild=20),
    World("t3 tails", tail="t3"),
    World("t3 tails, 14 cells", tail="t3", cells=14),
    World("collapses, 2 %", tail="collapse"),
    World("base 5 seeds, head its first 3, spread .3", seeds=(5, 3), spread=0.3),
    World("base 5 seeds, head 3 others, spread .3", seeds=(5, 3), same=False, spread=0.3),
    World("2 metrics, spread .3", metrics=2, spread=0.3),
    World("2 metrics, one cell x3", metrics=2, wild=3),
    World("2 metrics, one cell x6", metrics=2, wild=6),
    World("3 metrics, one cell x3", metrics=3, wild=3),
    World("3 metrics, 14 cells, spread .3", cells=14, metrics=3, spread=0.3),
    World("3 metrics, 14 cells, spread .3, other seeds", cells=14, metrics=3, spread=0.3, same=False),
    World("3 metrics, 14 cells, spread .4, other seeds", cells=14, metrics=3, spread=0.4, same=False),
    World("3 metrics, 14 cells, one cell x3", cells=14, metrics=3, wild=3),
    World("3 metrics, 14 cells, one cell x3, other seeds", cells=14, metrics=3, wild=3, same=False),
    World("base 5 seeds, head its first 3, spread .5, 14 cells", seeds=(5, 3), spread=0.5, cells=14),
    World("5 seeds, spread .5", seeds=(5, 5), spread=0.5),
    World("5 seeds, one cell x3", seeds=(5, 5), wild=3),
    World("5 seeds, 3 metrics, one cell x3", seeds=(5, 5), metrics=3, wild=3),
    World("40 cells, spread .3", cells=40, spread=0.3),
    World("40 cells, spread .5", cells=40, spread=0.5),
    World("2 seeds, equal", seeds=(2, 2)),
    World("2 seeds, spread .3", seeds=(2, 2), spread=0.3),
    World("2 seeds, one cell x6", seeds=(2, 2), wild=6),
)


def draw(world: World, rng: np.random.Generator, releases: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw base and head of unchanged releases, shapes (releases x metrics, cells, seeds of the side)."""
    sd = np.exp(world.spread * rng.standard_normal((releases, 1, world.cells, 1)))
    sd[:, :, -1] *= world.wild
    sides = []
    for seeds in world.seeds:
        shape = (releases, world.metrics, world.cells, seeds)
        noise = rng.standard_t(3, shape) / np.sqrt(3) if world.tail == "t3" else rng.standard_normal(shape)
        if world.tail == "collapse":
            noise = noise - 12 * (rng.random(shape) < 0.02)
        sides.append((sd * noise).reshape(-1, world.cells, seeds))
    return sides[0], sides[1]


@dataclass(frozen=True)
class Judged:
    """Estimates, standard errors and degrees of freedom of changes, shape (releases, cells) each."""

    estimate: np.ndarray
    error: np.ndarray
    df: np.ndarray


def judge(base: np.ndarray, head: np.ndarray, same: bool, protected: bool = True) -> Judged:
    """Estimate the changes as `results.statistics.changes` does.

    Args:
        base, head: shapes (releases, cells, seeds); at least two seeds, more is better.
        same: whether the shorter side ran the first seeds of the other.
        protected: whether uneven noise is looked for; else all but outliers have the shared variance, as they once had.
    """
    if same:
        shared = min(base.shape[2], head.shape[2])
        return _judge([head[:, :, :shared] - base[:, :, :shared]], protected)
    return _judge([base, head], protected)


def _judge(sides: list[np.ndarray], protected: bool) -> Judged:
    """Judge steps, or the last side less the first."""
    estimate = sides[-1].mean(2) - (sides[0].mean(2) if len(sides) == 2 else np.zeros(1))
    own = [side.var(2, ddof=1) for side in sides]
    free = [side.shape[2] - 1.0 for side in sides]
    kept = sharing(own, free)
    variance = sum((o * k).sum(1) * f for o, k, f in zip(own, kept, free, strict=True))
    variance = (variance / sum(k.sum(1) * f for k, f in zip(kept, free, strict=True)))[:, None]
    df = np.sum([freedom(side, k) for side, k in zip(sides, kept, strict=True)], axis=0)[:, None]
    alone = ~np.logical_and.reduce(kept)
    parts = [o / side.shape[2] for o, side in zip(own, sides, strict=True)]
    shared = variance * sum(1 / side.shape[2] for side in sides)
    welch = sum(parts) ** 2 / sum(part**2 / f for part, f in zip(parts, free, strict=True))
    if protected:
        df = np.minimum(df, gate.LENDERS * sum(free))
        squares = np.sum([o * f for o, f in zip(own, free, strict=True)], axis=0)
        alone |= pooling.noisier_cells(squares, np.where(alone, 0.0, sum(free)), gate.NOISIER)
        shared = np.maximum(shared, sum(parts))
    squared = np.where(alone, sum(parts), shared)
    return Judged(estimate, np.sqrt(squared), np.where(alone, welch, df))


def sharing(own: list[np.ndarray], free: list[float]) -> list[np.ndarray]:
    """Return which cells of each side share their variance: all but those far noisier than the median.

    Args:
        own: variances of the cells of each side, shape (releases, cells).
        free: their degrees of freedom, of each side.
    """
    everything, df = (
        np.concatenate(own, 1),
        np.concatenate([np.full(o.shape, f) for o, f in zip(own, free, strict=True)], 1),
    )
    calm = np.sqrt(everything) <= pooling.OUTLIER * np.median(np.sqrt(everything), 1, keepdims=True)
    calm_df = np.where(calm, df, 0).sum(1, keepdims=True)
    variance = np.where(calm, everything * df, 0).sum(1, keepdims=True) / calm_df
    kept = calm | (special.fdtrc(df, calm_df, everything / variance) > 0.001 / everything.shape[1])
    return np.split(kept, len(own), axis=1)


def freedom(cells: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom of one side: fewer if its cells of a seed are seen to move together.

    Args:
        cells: values, shape (releases, cells, seeds).
        kept: shape (releases, cells), which cells share their variance.
    """
    columns, rows = cells.shape[2], kept.sum(1)
    deviations = np.where(kept[:, :, None], cells - cells.mean(2, keepdims=True), 0)
    by_seed = deviations.sum(1) / rows[:, None]
    seeds = rows * (by_seed**2).sum(1) / (columns - 1)
    left = np.where(kept[:, :, None], deviations - by_seed[:, None], 0)
    rest = (left**2).sum((1, 2)) / ((rows - 1) * (columns - 1))
    correlation = (seeds - rest) / (seeds + (rows - 1) * rest)
    p = stats.f.sf(seeds / rest, columns - 1, (rows - 1) * (columns - 1))
    fewer = (columns - 1) * (seeds + (rows - 1) * rest) ** 2 / (seeds**2 + (rows - 1) * rest**2)
    together = (correlation > pooling.CORRELATED) & (p < 0.05)
    return np.where(together, fewer, rows * (columns - 1.0))


def regressed(found: Judged, margin: float, metrics: int = 1, alpha: float = 0.05) -> np.ndarray:
    """Return which cells are called regressed, shape (releases, cells x metrics); Holm over all of them."""
    p = special.stdtr(found.df, found.estimate / found.error).reshape(-1, metrics * found.estimate.shape[1])
    estimate = found.estimate.reshape(p.shape)
    return rejected(p, alpha) & (estimate <= -margin)


def rejected(p: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """Return which of the tests of each row Holm's method rejects, shape (releases, tests)."""
    order = np.sort(p, 1)
    passed = np.minimum.accumulate(order * (p.shape[1] - np.arange(p.shape[1])) <= alpha, axis=1)
    limit = np.where(passed.any(1), np.where(passed, order, -1.0).max(1), -1.0)
    return p <= limit[:, None]


def verdicts(found: Judged, margin: float, alpha: float = 0.05) -> np.ndarray:
    """Return the verdict of each cell, shape (releases, cells), as `results.statistics.decide` gives it."""
    worse = regressed(found, margin, 1, alpha)
    better = regressed(Judged(-found.estimate, found.error, found.df), margin, 1, alpha)
    ok = found.estimate - special.stdtrit(found.df, 0.95) * found.error > -margin
    return np.select([worse, better, ok], ["regressed", "improved", "ok"], "inconclusive")


@dataclass(frozen=True)
class Shares:
    """Shares of releases, 0 to 1.

    Attributes:
        alarms: with any false alarm.
        power: in which a loss of 3 in the first cell, which is as noisy as the others at most, is called.
        covers: in which the 90 % interval of the last cell, which may be noisier, holds the truth.
        others: the same, mean over the other cells.
    """

    alarms: float
    power: float
    covers: float
    others: float


def shares(
    world: World, releases: int, margin: float = 0.5, loss: float = 3.0, chunk: int = 4000, protected: bool = True
) -> Shares:
    """Simulate a world."""
    rng = np.random.default_rng([17, *world.name.encode()])
    counts = np.zeros(4)
    for at in range(0, releases, chunk):
        size = min(chunk, releases - at)
        base, head = draw(world, rng, size)
        found = judge(base, head, world.same, protected)
        counts[0] += regressed(found, margin, world.metrics).any(1).sum()
        covers = np.abs(found.estimate) <= special.stdtrit(found.df, 0.95) * found.error
        counts[2:] += covers[:, -1].sum() / world.metrics, covers[:, :-1].mean(1).sum() / world.metrics
        head[:: world.metrics, 0] -= loss
        counts[1] += regressed(judge(base, head, world.same, protected), margin, world.metrics)[:, 0].sum()
    return Shares(*(counts / releases).tolist())
