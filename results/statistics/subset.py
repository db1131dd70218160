"""Which cells of a grid may be the best, after a fixed number of seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from results.statistics import deciding
from results.statistics.blocks import BLOCKED_DF, fit
from results.statistics.boundaries import single_look
from results.statistics.pooling import Seeds


@dataclass(frozen=True)
class Contenders:
    """The cells that may be the best, in the order of the cells.

    Attributes:
        leader: the cell with the highest mean, without the common effect of the seeds; empty without cells.
        left: the cells that are not surely worse than some cell, `leader` among them.
        out: {cell: how much worse than the leader it is at least}, in the unit of the values.
        at_most: what taking the leader loses at most; NaN without an estimate of noise.
    """

    leader: str = ""
    left: tuple[str, ...] = ()
    out: Mapping[str, float] = field(default_factory=dict)
    at_most: float = float("nan")


def contenders(cells: Mapping[str, Seeds], alpha: float = 0.05) -> Contenders:
    """Name the cells that are surely not the best, and those that are left.

    The best cell is left out with chance `alpha` at most, whatever the other means are. Each cell is tested one-sidedly
    against the leader. Seeds are taken out as blocks; the error of a pair is the larger of the shared and of its own.
    Nothing is left out, and what the leader may lose is NaN, if the cells share no seed, or if the noise is estimated
    with fewer than `BLOCKED_DF` degrees of freedom: two cells of two seeds, which nothing could tell apart here.

    Args:
        cells: {name: {seed: value}}, more is better; cells without values are left out of everything.
        alpha: 0 to 1.

    Source: Gupta (1965), subset selection.
    """
    kept = {name: values for name, values in cells.items() if values}
    names = tuple(kept)
    if not kept:
        return Contenders()
    seeds = sorted(set.union(*(set(values) for values in kept.values())))
    table = np.array([[[values.get(seed, np.nan) for seed in seeds] for values in kept.values()]], float)
    found = fit(table, np.ones((1, len(kept)), bool))
    shared = bool((~np.isnan(table[0])).all(0).any())
    df = int(found.df[0])
    if len(kept) < 2 or not shared or not found.squares[0] or df < BLOCKED_DF:
        best = max(names, key=lambda name: float(np.mean([*kept[name].values()])))
        return Contenders(best, names)
    seen = deciding.look_best(table, deciding.begin(1, len(kept)), single_look(len(kept), df, alpha))
    out = {name: float(seen.low[0, i]) for i, name in enumerate(names) if seen.state.verdict[0, i] < 0}
    left = tuple(name for name in names if name not in out)
    return Contenders(names[int(seen.leader[0])], left, out, float(seen.at_most[0]))
