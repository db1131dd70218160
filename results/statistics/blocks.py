"""Scores of cells over shared seeds without the common effect of the seeds, for many tables at once.

A table is additive: score = cell + seed + noise (Fisher 1935, blocks). The seeds are always taken out: that costs
n - 1 of the k (n - 1) degrees of freedom, whereas looking at the data first picks the tables in which blocks flatter.
"""

from dataclasses import dataclass

import numpy as np

BLOCKED_DF = 2
"""Least degrees of freedom of the noise without the seeds. With one, two cells of two seeds, nothing could be seen."""
_ROUNDS = 60
"""Rounds of the fit of a table with holes. Few holes need about ten."""
_NOTHING = 1e-9
"""Noise below this share of the largest score is the rounding of its last bits, and no noise."""


@dataclass(frozen=True)
class Fit:
    """Fits of R tables of k cells; a cell that takes no part has mean NaN and count 0.

    Attributes:
        means: shape (R, k), as if every cell had run every seed.
        counts: shape (R, k), scores of each cell.
        squares: shape (R,), sum of squares of what cells and seeds leave; 0 if that is nothing but rounding.
        df: shape (R,), its degrees of freedom.
        own: shape (R, k), each cell's own variance of the noise; 0 for a cell with one score.
    """

    means: np.ndarray
    counts: np.ndarray
    squares: np.ndarray
    df: np.ndarray
    own: np.ndarray


def fit(y: np.ndarray, cells: np.ndarray) -> Fit:
    """Fit cells and seeds by least squares.

    Args:
        y: scores of shape (R, k, n); NaN where a trial gave none.
        cells: shape (R, k), the cells that take part.
    """
    there = cells[:, :, None] & ~np.isnan(y)
    values = np.where(there, y, 0.0)
    counts, of_seed = there.sum(2), there.sum(1)
    holes = bool((counts != np.where(cells, y.shape[2], 0)).any())
    means, seeds = _effects(values, there, counts, of_seed, _ROUNDS if holes else 1)
    rest = np.where(there, values - means[:, :, None] - seeds[:, None, :], 0.0)
    scale = np.abs(values).max((1, 2))
    squares = (rest**2).sum((1, 2))
    df = np.maximum(counts.sum(1) - (counts > 0).sum(1) - (of_seed > 0).sum(1) + 1, 0)
    squares = np.where((df > 0) & (squares > df * (_NOTHING * scale) ** 2), squares, 0.0)
    several = (counts > 0).sum(1)
    factor = np.where(several > 1, several / np.maximum(several - 1, 1), 0.0)
    own = (rest**2).sum(2) / np.maximum(counts - 1, 1) * factor[:, None]
    return Fit(np.where(counts > 0, means, np.nan), counts, squares, df, np.where(counts > 1, own, 0.0))


def _effects(
    values: np.ndarray, there: np.ndarray, counts: np.ndarray, of_seed: np.ndarray, rounds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the effects of cells (R, k) and of seeds (R, n), by turns; one round is exact without holes."""
    means = values.sum(2) / np.maximum(counts, 1)
    seeds = np.zeros(of_seed.shape)
    for _ in range(rounds):
        seeds = np.where(there, values - means[:, :, None], 0.0).sum(1) / np.maximum(of_seed, 1)
        used = of_seed > 0
        middle = np.where(used, seeds, 0.0).sum(1) / np.maximum(used.sum(1), 1)
        seeds = np.where(used, seeds - middle[:, None], 0.0)
        means = np.where(there, values - seeds[:, None, :], 0.0).sum(2) / np.maximum(counts, 1)
    return means, seeds
