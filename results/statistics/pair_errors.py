"""The standard error of the difference of two cells of a run: of one pair, or of one cell and many others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.statistics.pooling import Pool, Values


@dataclass(frozen=True)
class CellNoise:
    """What is known of the noise of cells; each attribute has shape (cells,), or is the number of one cell.

    Attributes:
        number: of seeds.
        plain: variance of the values; NaN with one seed.
        own: the same without the common effect of the seeds where the pool knows it; that of the pool with one seed.
        apart: whether the cell does not share its variance.
        noisier: whether it does, but is judged by its own alone.
    """

    number: np.ndarray
    plain: np.ndarray
    own: np.ndarray
    apart: np.ndarray
    noisier: np.ndarray

    def __getitem__(self, which: int | slice) -> CellNoise:
        """Return some of the cells."""
        return CellNoise(*(part[which] for part in vars(self).values()))


def noise_of(names: Sequence[str], values: Sequence[Values], shared: Pool | None) -> CellNoise:
    """Gather what is known of the noise of cells.

    Args:
        names: of the cells.
        values: array of shape (seeds,) of each.
        shared: the noise of their run; None: no cell shares its variance.
    """
    arrays = [np.asarray(one, float) for one in values]
    plain = np.array([one.var(ddof=1) if len(one) > 1 else np.nan for one in arrays])
    own, apart, noisier = plain, np.ones(len(names), bool), np.zeros(len(names), bool)
    if shared is not None:
        own = np.array([shared.own.get(name, one) for name, one in zip(names, plain.tolist(), strict=True)])
        own = np.where(np.isnan(own), shared.variance, own)
        apart, noisier = (np.isin(names, of) for of in (shared.unpooled, shared.noisier))
    return CellNoise(np.array([len(one) for one in arrays], float), plain, own, apart, noisier)


def error_of(one: CellNoise, other: CellNoise, shared: Pool | None) -> tuple[np.ndarray, np.ndarray]:
    """Compute the standard error of the difference of the means of two cells, and its degrees of freedom.

    The error is the larger of the shared one and of the pair's own, so that noisy cells are not lent the smaller error
    of the others. A cell that is seen to be noisier has its own, with its own degrees of freedom; the other of the pair
    keeps the larger of both. A pair with a cell that does not share its variance has the error of Welch's test.

    Args:
        one, other: cells; one of them may be many.
        shared: the noise of their run; None: each has its own.

    Returns:
        The error in the unit of the values, and the degrees of freedom; NaN where one seed is all there is.

    Source: Welch (1947), with Satterthwaite's (1946) degrees of freedom of a sum of variances.
    """
    with np.errstate(all="ignore"):  # what cannot be tested divides by zero
        squared, df = _sum((one.plain / one.number, one.number - 1), (other.plain / other.number, other.number - 1))
        if shared is None:
            return np.sqrt(squared), df
        both = shared.variance * (1 / one.number + 1 / other.number)
        together = np.maximum(both, one.own / one.number + other.own / other.number)
        alone, free = _sum(*(_part(cell, shared) for cell in (one, other)))
        seen, apart = one.noisier | other.noisier, one.apart | other.apart
        squared = np.select([apart, seen], [squared, alone], together)
        return np.sqrt(squared), np.select([apart, seen], [df, free], shared.df)


def _part(cell: CellNoise, shared: Pool) -> tuple[np.ndarray, np.ndarray]:
    """Return a cell's part of the squared error of a pair with a noisier cell, and the part's degrees of freedom."""
    variance = np.where(cell.noisier, cell.own, np.maximum(cell.own, shared.variance))
    return variance / cell.number, np.where(cell.noisier, cell.number - 1, shared.df)


def _sum(*parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return a sum of variances of means and its degrees of freedom."""
    total = sum((variance for variance, _ in parts), np.zeros(1))
    return total, total**2 / sum(variance**2 / df for variance, df in parts)
