"""Which learning curves still rise at the end of the training, so that the budget decided and not the setting."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from results.statistics.pooling import Values, pool


def rising(curves: Mapping[str, Sequence[Values]], alpha: float = 0.05) -> list[str]:
    """Name the cells whose score still rises: the mean gain of the last epoch is above zero by more than the noise.

    The gain of a seed is its last value less the one before. The test is a one-sided t-test per cell at `alpha`; the
    variance of the gains is pooled over the cells (`pool`), with an outlier's own. If no cell has two different gains,
    as with one seed, a cell rises if its gain is above zero. There is no correction for many cells: a curve that rises
    by chance costs a word of caution.

    Args:
        curves: {name: a curve per seed}; a curve is the score after each epoch, and of at least two epochs.
        alpha: probability of a false alarm per cell, 0 to 1.

    Returns:
        Names in the order of `curves`.
    """
    gains = {name: [curve[-1] - curve[-2] for curve in seeds if len(curve) > 1] for name, seeds in curves.items()}
    gains = {name: values for name, values in gains.items() if values}
    shared = pool(gains)
    found = []
    for name, values in gains.items():
        mean, spread, df = float(np.mean(values)), shared.sd if shared else 0.0, shared.df if shared else 1.0
        if shared and name in shared.unpooled:
            spread, df = float(np.std(values, ddof=1)), len(values) - 1
        if mean > float(stats.t.ppf(1 - alpha, df)) * spread / np.sqrt(len(values)):
            found.append(name)
    return found
