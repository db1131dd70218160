"""Corrections of p-values for many tests at once."""

import numpy as np
from scipy import stats

from results.statistics.pooling import Values


def holm(p: Values) -> np.ndarray:
    """Adjust p-values by Holm's step-down: if those <= alpha are rejected, any false alarm has probability <= alpha.

    Args:
        p: shape (tests,); NaN (no test was possible) stays NaN and does not count.

    Returns:
        Shape (tests,), in the same order.

    Source: Holm (1979).

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


def discovered(p: np.ndarray, rate: float) -> np.ndarray:
    """Mark the p-values that pass the step-up procedure at a false discovery rate.

    Args:
        p: shape (tests,); NaN never passes.
        rate: 0 to 1.

    Returns:
        Booleans of shape (tests,).

    Source: Benjamini and Hochberg (1995).
    """
    passed = np.zeros(p.shape, bool)
    known = np.flatnonzero(~np.isnan(p))
    if len(known):
        passed[known] = stats.false_discovery_control(p[known]) <= rate
    return passed
