"""Intervals of all distances to the best cell that hold together, and that agree with the letters of a ranking."""

from collections.abc import Mapping
from dataclasses import replace

from results.statistics.confidence import Difference, between
from results.statistics.pooling import Seeds
from results.statistics.ranking import Ranking


def from_best(cells: Mapping[str, Seeds], ranking: Ranking) -> dict[str, Difference]:
    """Return each cell's mean less that of the best, with an interval that leaves zero out where the two differ.

    The intervals are Bonferroni's over all tested pairs, so that they hold together with probability `1 - alpha`.
    Holm's test is a little sharper: where it tells a pair apart although that interval crosses zero, the interval ends
    at zero. One that the ranking does not tell apart always holds zero, because its p-value is above alpha / tests.

    Args:
        cells: {name: {seed: value}} of the cells that were ranked.
        ranking: their ranking.

    Returns:
        {name: difference}, without the best cell, from best to worst.

    Source: Dunn (1961); for bounds at zero, Strassburger and Bretz (2008).
    """
    if not ranking.order:
        return {}
    values = {name: [*seeds.values()] for name, seeds in cells.items()}
    level, best = 1 - ranking.alpha / max(ranking.tests, 1), ranking.order[0]
    found = {name: between(values, best, name, ranking.pool, level) for name in ranking.order[1:]}
    return {name: one if ranking.indistinguishable(best, name) else beside_zero(one) for name, one in found.items()}


def beside_zero(one: Difference) -> Difference:
    """Return a difference that a test told apart, with the part of its interval beyond zero cut off."""
    return replace(one, high=min(one.high, 0.0)) if one.estimate < 0 else replace(one, low=max(one.low, 0.0))
