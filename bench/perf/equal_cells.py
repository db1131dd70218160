"""`python -m bench.perf.equal_cells`: how often a report tells equal cells apart, and how often its intervals cover.

It prints, in Markdown, what the rules of `results.statistics.rank` and `intervals` promise where the noise is kind and
where it is not, beside the same rules without what is done for cells that are noisier than the others. Here the rules
are arrays of shape (grids, cells, seeds). The suite holds them against the code that judges reports, grid by grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from scipy import special

from bench.core import EXIT_OK, command, start
from bench.perf.sequential import NOISES, Noise
from bench.perf.uneven import freedom, rejected, sharing
from results.statistics import blocks, deciding, pooling, ranking, smallest_detectable
from results.statistics.boundaries import single_look

GAP = 4.0
"""Of the first cell before the others, in standard deviations of one trial, where power is asked for."""
SIZES = ((7, (3,)), (14, (3,)), (12, (5,)), (7, (3, 5)), (7, (2,)), (3, (3,)))
"""Cells, and seeds of one cell after another, in turn; different numbers of seeds are no blocks."""


@dataclass(frozen=True)
class Rule:
    """What is done for cells that are noisier than the others.

    Attributes:
        level: of the F-test by which a cell is judged by its own noise alone; 0 for none.
        lenders: number of cells as whose the shared variance counts at most.
    """

    level: float = pooling.NOISIER
    lenders: float = ranking.LENDERS


BEFORE = Rule(0.0, math.inf)


@dataclass(frozen=True)
class Judged:
    """Pairs of cells, in the order of `itertools.combinations`; shape (grids, pairs) each.

    Attributes:
        gap: mean of the first less that of the second.
        error: its standard error.
        df: the degrees of freedom of the error.
    """

    gap: np.ndarray
    error: np.ndarray
    df: np.ndarray

    def p(self) -> np.ndarray:
        """Return two-sided p-values."""
        return 2 * special.stdtr(self.df, -np.abs(self.gap) / self.error)

    def covers(self, which: int, level: float = 0.95) -> np.ndarray:
        """Return in which grids the interval of a pair holds zero, shape (grids,)."""
        half = special.stdtrit(self.df[:, which], (1 + level) / 2) * self.error[:, which]
        return np.abs(self.gap[:, which]) <= half


def judge(y: np.ndarray, rule: Rule) -> Judged:
    """Compare all pairs as `results.statistics.rank` does.

    Args:
        y: shape (grids, cells, seeds); a cell may end with NaN, in every grid alike.
        rule: for noisy cells.
    """
    number = (~np.isnan(y[0])).sum(1)
    free, raw = number - 1.0, np.nanvar(y, 2, ddof=1)
    inside = _inside(raw, free)
    own, variance, df = _shared(y, raw, free, inside)
    df = np.minimum(df, rule.lenders * np.where(inside, free, 0).sum(1, keepdims=True) / inside.sum(1, keepdims=True))
    alone = pooling.noisier_cells(own * free, np.where(inside, free, 0.0), rule.level)
    first, second = np.triu_indices(y.shape[1], 1)
    part, part_df = np.where(alone, own, np.maximum(own, variance)) / number, np.where(alone, free, df)
    of_alone = _sum(part[:, first], part_df[:, first], part[:, second], part_df[:, second])
    error = raw / number
    welch = _sum(error[:, first], free[first], error[:, second], free[second])
    both = variance * (1 / number[first] + 1 / number[second])
    together = np.maximum(both, (own / number)[:, first] + (own / number)[:, second])
    apart = ~(inside[:, first] & inside[:, second])
    seen = alone[:, first] | alone[:, second]
    squared = np.select([apart, seen], [welch[0], of_alone[0]], together)
    means = np.nanmean(y, 2)
    free_of = np.select([apart, seen], [welch[1], of_alone[1]], np.broadcast_to(df, squared.shape))
    return Judged(means[:, first] - means[:, second], np.sqrt(squared), free_of)


def _inside(raw: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return which cells share their variance, shape (grids, cells)."""
    kept = sharing([raw[:, [cell]] for cell in range(raw.shape[1])], free.tolist())
    return np.concatenate(kept, 1)


def _shared(
    y: np.ndarray, raw: np.ndarray, free: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the own variances, the shared one, and its degrees of freedom; without the seeds where all ran the same.

    Shapes (grids, cells), (grids, 1) and (grids, 1).
    """
    if np.isnan(y).any():
        df = np.where(inside, free, 0).sum(1, keepdims=True)
        return raw, np.where(inside, raw * free, 0).sum(1, keepdims=True) / df, df
    found = blocks.fit(y, inside)
    df = found.df[:, None].astype(float)
    return np.where(inside, found.own, raw), found.squares[:, None] / df, df


def _sum(one: np.ndarray, free: np.ndarray, other: np.ndarray, frees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of two variances of means, and their degrees of freedom (Satterthwaite 1946)."""
    return one + other, (one + other) ** 2 / (one**2 / free + other**2 / frees)


def half_lengths(y: np.ndarray, rule: Rule, level: float = 0.95) -> np.ndarray:
    """Return the half lengths of the cells' intervals, (grids, cells), as `results.statistics.intervals` has them."""
    number = (~np.isnan(y[0])).sum(1)
    free, raw = number - 1.0, np.nanvar(y, 2, ddof=1)
    inside = _inside(raw, free)
    share = np.where(inside, free, 0.0)
    variance = (raw * share).sum(1, keepdims=True) / share.sum(1, keepdims=True)
    df = share.sum(1) if np.isnan(y).any() else freedom(y, inside)
    alone = ~inside | pooling.noisier_cells(raw * free, share, rule.level)
    squared = np.where(alone, raw, np.maximum(raw, variance)) / number
    return special.stdtrit(np.where(alone, free, df[:, None]), (1 + level) / 2) * np.sqrt(squared)


@dataclass(frozen=True)
class Kept:
    """Shares of grids of equal cells, 0 to 1, and a mean length.

    Attributes:
        apart: any two are told apart.
        power: the first cell, `GAP` before all others, is told from the second.
        covers: the interval of the last cell, which may be noisier, holds the truth.
        others: the same, mean over the other cells.
        between: the interval of its difference from the first cell does.
        length: mean half length of the cells' intervals, in standard deviations of one trial.
    """

    apart: float
    power: float
    covers: float
    others: float
    between: float
    length: float


def drawn(noise: Noise, cells: int, seeds: tuple[int, ...], grids: int) -> np.ndarray:
    """Draw scores of shape (grids, cells, most seeds), NaN where a cell ran fewer."""
    most = max(seeds)
    y = noise.draw(np.random.default_rng([83, cells, *seeds]), grids, cells, most)
    for cell in range(cells):
        y[:, cell, seeds[cell % len(seeds)] :] = np.nan
    return y


def kept(y: np.ndarray, rule: Rule) -> Kept:
    """Judge grids of equal cells; power takes a quarter of them, because no promise depends on it."""
    found, half = judge(y, rule), half_lengths(y, rule)
    better = y[: len(y) // 4].copy()
    better[:, 0] += GAP
    covers = np.abs(np.nanmean(y, 2)) <= half
    return Kept(
        float(rejected(found.p()).any(1).mean()),
        float(rejected(judge(better, rule).p())[:, 0].mean()),
        float(covers[:, -1].mean()),
        float(covers[:, :-1].mean()),
        float(found.covers(y.shape[1] - 2).mean()),
        float(half.mean()),
    )


def left_out(y: np.ndarray) -> tuple[float, float]:
    """Return how often the first and the last of equal cells are called surely not the best, as `contenders` does it.

    Args:
        y: shape (grids, cells, seeds), without holes.
    """
    grids, cells, seeds = y.shape
    found = deciding.look_best(y, deciding.begin(grids, cells), single_look(cells, (cells - 1) * (seeds - 1)))
    out = found.state.verdict < 0
    return float(out[:, 0].mean()), float(out[:, -1].mean())


def seen(cells: int, seeds: int, grids: int, share: float = 1.0) -> float:
    """Return how often a share of the difference that one report names is found in the next, at Holm's first step.

    The noise is equal in all cells. The degrees of freedom of the size are those of most grids.
    """
    rng, pairs, free = np.random.default_rng([89, cells, seeds]), math.comb(cells, 2), np.full(cells, seeds - 1.0)
    first, y = (NOISES[0].draw(rng, grids, cells, seeds) for _ in range(2))
    _, variance, df = _shared(first, raw := first.var(2, ddof=1), free, _inside(raw, free))
    shared = float(np.median(np.minimum(df, Rule().lenders * free[0])))
    size = smallest_detectable(1.0, seeds, shared, alpha=0.05 / pairs, own=2 * free[0])
    y[:, 0] += share * size * np.sqrt(variance)
    return float((judge(y, Rule()).p()[:, 0] <= 0.05 / pairs).mean())


def lines(grids: int) -> Iterator[str]:
    """Yield the tables, line by line."""
    heads = (
        "any pair apart", f"a cell {GAP:g} σ better is told", "interval of the last cell covers", "of the others",
        "of its difference from another", "length",
    )  # fmt: skip
    yield f"| noise | cells, seeds | {' | '.join(heads)} |"
    yield "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for cells, seeds in SIZES:
        for noise in NOISES:
            y = drawn(noise, cells, seeds, grids)
            before, now = (vars(kept(y, rule)) for rule in (BEFORE, Rule()))
            shares = [f"{100 * before[name]:.1f} → {100 * now[name]:.1f} %" for name in before if name != "length"]
            longer = f"{100 * (now['length'] / before['length'] - 1):+.0f} %"
            yield f"| {noise.name} | {cells}, {' or '.join(map(str, seeds))} | {' | '.join([*shares, longer])} |"
    yield ""
    sizes = [(cells, seeds[0]) for cells, seeds in SIZES if len(seeds) == 1]
    yield f"| noise | {' | '.join(f'{cells}, {seeds}' for cells, seeds in sizes)} |"
    yield "| :--- | " + "---: | " * len(sizes)
    for noise in NOISES:
        found = (left_out(drawn(noise, cells, (seeds,), grids)) for cells, seeds in sizes)
        yield f"| {noise.name} | {' | '.join(f'{100 * one:.1f}, {100 * last:.1f} %' for one, last in found)} |"
    yield ""
    yield "| cells, seeds | the difference that a report names is detected in the next | three quarters of it |"
    yield "| ---: | ---: | ---: |"
    for cells, of in sizes:
        whole, part = (100 * seen(cells, of, grids, share) for share in (1.0, 0.75))
        yield f"| {cells}, {of} | {whole:.0f} % | {part:.0f} % |"


@command
def main(grids: Annotated[int, typer.Option(min=100, help="Simulated grids for each line.")] = 20_000) -> int:
    """Simulate, and print three tables in Markdown: of letters and intervals, of surely not the best, of power.

    The first has before → now; the second, by cells and seeds, how often a given and the last cell are left out.
    """
    for line in lines(grids):
        print(line, flush=True)
    return EXIT_OK


if __name__ == "__main__":
    start(main)
