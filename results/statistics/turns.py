"""Measurements in turns: contrasts of commits that are measured side by side, and when to look at them.

A turn measures each of a few commits once, one right after another. What moves the whole turn (another hour, another
tenant of the machine) cancels in the differences inside it, so the unit of repetition is the turn.

Source: Fisher (1935), for blocks; Dunn (1961), for the correction over the looks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import special


def looks(first: int, most: int) -> tuple[int, ...]:
    """Return the numbers of turns after which a sequential test looks: few, ever farther apart, the last at `most`.

    Args:
        first: turns of the first look, at least 2.
        most: turns of the last look; at least `first`.

    >>> looks(2, 16)
    (2, 3, 4, 6, 8, 12, 16)
    >>> looks(3, 10)
    (3, 4, 6, 8, 10)
    """
    steady = {2 << power for power in range(30)} | {3 << power for power in range(30)}
    return tuple(sorted({n for n in steady if first <= n < most} | {most}))


@dataclass(frozen=True)
class Noise:
    """The variance of one measurement around its turn and its commit, pooled over tables of turns.

    Attributes:
        squares: sum of the squared residuals.
        df: degrees of freedom; 0 if there is no estimate.
    """

    squares: float = 0.0
    df: int = 0

    @property
    def variance(self) -> float:
        """The pooled variance; NaN without degrees of freedom."""
        return self.squares / self.df if self.df else float("nan")

    def __add__(self, other: "Noise") -> "Noise":
        """Pool with another estimate."""
        return Noise(self.squares + other.squares, self.df + other.df)


def noise(table: np.ndarray) -> Noise:
    """Estimate the noise of a table from its residuals, after the mean of each turn and of each commit is taken out.

    Args:
        table: shape (turns, commits), in the unit of the scores.
    """
    n, k = table.shape
    if n < 2 or k < 2:
        return Noise()
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return Noise(float(np.sum(residuals**2)), (n - 1) * (k - 1))


@dataclass(frozen=True)
class Contrast:
    """The mean of a weighted sum of each turn's scores.

    Attributes:
        estimate: the mean, in the unit of the scores.
        error: its standard error.
        df: degrees of freedom of `error`.
        turns: number of turns.
    """

    estimate: float
    error: float
    df: int
    turns: int

    def half(self, level: float) -> float:
        """Return half the width of the interval that leaves the share `level` on each side."""
        return float(-special.stdtrit(self.df, level)) * self.error if self.error else 0.0


def contrast(table: np.ndarray, weights: Iterable[float], pooled: Noise | None = None) -> Contrast:
    """Estimate a contrast of the commits of a table.

    The variance is the larger of the pooled one and the contrast's own, so that a commit that is noisier than the
    others is not lent their smaller error. Without a pooled variance it is the contrast's own.

    Args:
        table: shape (turns, commits), at least 2 turns.
        weights: one per commit; they add up to 0, so that what moves a whole turn cancels.
        pooled: the noise of one measurement, equal for all commits.

    >>> contrast(np.array([[1.0, 3.0], [2.0, 6.0]]), (-1, 1))
    Contrast(estimate=3.0, error=1.0, df=1, turns=2)
    """
    factors = np.array([*weights])
    values = table @ factors
    n, variance, df = len(values), float(values.var(ddof=1)), len(values) - 1
    if pooled is not None and pooled.df > df:
        variance, df = max(variance, float(factors @ factors) * pooled.variance), pooled.df
    return Contrast(float(values.mean()), float(np.sqrt(variance / n)), df, n)
