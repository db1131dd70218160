"""Ranking of cells from best to worst, and which of them the seeds cannot distinguish."""

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count

import numpy as np

from results.statistics.blocks import BLOCKED_DF, fit
from results.statistics.multiplicity import holm
from results.statistics.pairs import PairValues, p_of_pairs
from results.statistics.pooling import Pool, Seeds, noisier, pool, seed_correlation, table_of

LENDERS = 10
"""In a ranking, a shared variance counts at most as that of so many cells. Pooled over more it would be known better,
but not how far a cell's own lies from it, and the largest of many t-values is that of a cell which is noisier than it
showed (docs/statistics.md)."""
LETTERED = 200
"""Most cells that get letters. Their sets can be as many as the cells: finding them takes far longer than the rest."""


@dataclass(frozen=True)
class Ranking:
    """Cells from best to worst. Two cells that share a letter of `groups` are indistinguishable.

    Attributes:
        order: names of the cells, best first.
        groups: {name: its letters}; empty with more than `LETTERED` cells.
        p: {(better, worse): two-sided p-value, Holm-adjusted}; the pair differs where it is `alpha` or less.
        pool: the noise of the tests; None without any estimate.
        method: "blocked" (the common effect of the seeds is removed), "pooled" or "none".
        correlation: correlation of the cells over shared seeds; NaN if they share none.
        alpha: probability of any false alarm, 0 to 1.
    """

    order: tuple[str, ...]
    groups: dict[str, str]
    p: Mapping[tuple[str, str], float]
    pool: Pool | None
    method: str
    correlation: float
    alpha: float = 0.05

    @property
    def tests(self) -> int:
        """The number of pairs that could be tested."""
        return int(np.count_nonzero(~np.isnan(np.array([*self.p.values()], float))))

    def indistinguishable(self, one: str, other: str) -> bool:
        """Return whether the test of two cells, in either order, finds no difference."""
        return not self.p.get((one, other), self.p.get((other, one), math.nan)) <= self.alpha


def rank(cells: Mapping[str, Seeds], alpha: float = 0.05) -> Ranking:
    """Order cells from best (largest mean) to worst, and find which of them are indistinguishable.

    All pairs are tested and Holm-adjusted, which also corrects for choosing the winner after the fact. The error is the
    larger of the pooled one and of the pair's own; cells that are seen to be noisier than the others have their own
    alone (`error_of`). The pooled one has the degrees of freedom of `LENDERS` cells at most. If all cells ran the same
    seeds, the seeds are taken out as blocks, whether they are seen to correlate or not, from two degrees of freedom on
    (`BLOCKED_DF`). Pairs with an outlier or a constant cell are tested by Welch's t. If no test is possible (one seed
    everywhere), all cells are indistinguishable.

    Args:
        cells: {name: {seed: value}}; cells without values are left out.
        alpha: probability of any false alarm, 0 to 1.
    """
    kept = {name: values for name, values in cells.items() if values}
    order = tuple(sorted(kept, key=lambda name: (-float(np.mean([*kept[name].values()])), name)))
    values = {name: [*seeds.values()] for name, seeds in kept.items()}
    shared = pool(values)
    blocks, correlation = _blocks(kept, shared)
    error = _lent(blocks or shared, kept)
    adjusted = PairValues(order, holm(p_of_pairs([(name, values[name]) for name in order], error)))
    few = len(order) <= LETTERED
    groups = letters(order, {pair for pair, p in adjusted.items() if p <= alpha}) if few else {}
    method = "blocked" if blocks else "pooled" if shared else "none"
    return Ranking(order, groups, adjusted, error, method, correlation, alpha)


def _blocks(cells: Mapping[str, Seeds], shared: Pool | None) -> tuple[Pool | None, float]:
    """Return the noise without the common effect of the seeds, if all ran the same, and their correlation."""
    inside = {name: values for name, values in cells.items() if shared and name not in shared.unpooled}
    table = table_of(inside)
    if table is None:
        return None, float("nan")
    correlation = seed_correlation(table)
    found = fit(table[None], np.ones((1, len(table)), bool))
    squares, df = float(found.squares[0]), int(found.df[0])
    if df < BLOCKED_DF or not squares:
        return None, correlation
    own, free = dict(zip(inside, found.own[0].tolist(), strict=True)), table.shape[1] - 1.0
    seen = noisier({name: one * free for name, one in own.items()}, dict.fromkeys(own, free))
    return Pool(squares / df, df, shared.unpooled if shared else (), own, seen), correlation


def _lent(error: Pool | None, cells: Mapping[str, Seeds]) -> Pool | None:
    """Return a noise with the degrees of freedom of `LENDERS` cells at most."""
    if error is None:
        return None
    free = [len(values) - 1 for name, values in cells.items() if len(values) > 1 and name not in error.unpooled]
    return replace(error, df=min(error.df, LENDERS * sum(free) / len(free)))


def letters(order: Sequence[str], differ: set[tuple[str, str]]) -> dict[str, str]:
    """Assign each cell the letters of its groups; a letter is a maximal set of cells no two of which differ.

    Args:
        order: names of the cells; the letters follow it.
        differ: pairs of names that differ, each in either order.

    Source: Piepho (2004), compact letter display; the sets are found as by Bron and Kerbosch (1973), with a pivot.
    """
    near = {a: {b for b in order if a != b and (a, b) not in differ and (b, a) not in differ} for a in order}
    sets: list[set[str]] = []

    def grow(chosen: set[str], candidates: set[str], seen: set[str]) -> None:
        if not candidates and not seen:
            sets.append(chosen)
            return
        pivot = max(sorted(candidates | seen), key=lambda name: len(near[name] & candidates))
        for name in sorted(candidates - near[pivot]):
            grow(chosen | {name}, candidates & near[name], seen & near[name])
            candidates, seen = candidates - {name}, seen | {name}

    grow(set(), set(order), set())
    sets.sort(key=lambda group: sorted(order.index(name) for name in group))
    # No symbol is part of another, because a cell shows several side by side.
    numbered = (f"({number})" for number in count(len(string.ascii_letters) + 1))
    symbols = chain(string.ascii_letters, numbered)
    named = dict(zip(symbols, sets, strict=False))
    return {name: "".join(letter for letter, group in named.items() if name in group) for name in order}
