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
    order = np.argsort(p, kind="stable")
    order = order[~np.isnan(p[order])]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * p[order]))
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
