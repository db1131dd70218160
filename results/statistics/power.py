"""Power of a t-test: the smallest detectable difference, and the probability to detect a given one."""

from functools import cache
from typing import Literal

import numpy as np
from scipy import optimize, special, stats

from results.statistics.pooling import NOISIER


def smallest_detectable(
    sd: float,
    n: int,
    df: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 2,
    own: float | None = None,
) -> float:
    """Compute the true difference between two cells that a t-test at `alpha` detects with probability `power`.

    With many degrees of freedom and one side this is the known 2.03 sd at n = 3, 1.57 at 5, and 1.11 at 10.

    Args:
        sd: standard deviation of the values, in their unit.
        n: seeds of each of the two cells.
        df: degrees of freedom of `sd`.
        alpha, power: probabilities, 0 to 1.
        sides: 1 or 2.
        own: degrees of freedom of the pair's own noise, for a test as `rank` does it, whose `sd` is an estimate: by the
            larger of the two, or by the own alone if one of the cells is seen to be noisier than the others; None for a
            test by `sd` alone, which is known.

    Returns:
        The difference in the unit of `sd`; NaN when `sd`, `n` or `df` is not above zero.

    Source: Cohen (1988), chapter 2; solved with the noncentral t distribution.
    """
    if not (n > 0 and df > 0 and sd > 0):
        return float("nan")
    if own is None:
        return float(detectable_shift(df, alpha / sides, power) * sd * np.sqrt(2 / n))
    either = 2 * NOISIER
    return float(seen_shift(df, own, alpha / sides, power, reported="shared", noisier=either) * sd * np.sqrt(2 / n))


@cache
def seen_shift(
    df: float,
    own: float,
    alpha: float,
    power: float,
    *,
    reported: Literal["larger", "shared"] = "larger",
    noisier: float = 0.0,
) -> float:
    """Compute the true difference, in *estimated* standard errors, that a one-sided t-test detects at `power`.

    The noise at hand is an estimate, and the next one is another; the next error is the larger of the shared and of the
    cell's own. Averaged over all of these, this difference is detected with that probability. `detectable_shift`, which
    takes the estimate for the truth, promises some points too much.

    Args:
        df: degrees of freedom of the shared noise.
        own: of the cell's own.
        alpha, power: probabilities, 0 to 1.
        reported: whether the standard error at hand is the larger of both, too, or that of the shared noise.
        noisier: level of the F-test by which a cell is judged by its own noise alone; 0 for none.
    """  # fmt: skip
    df, own = min(df, 1e6), min(own, 1e6)
    parts = (np.arange(50) + 0.5) / 50
    shared, alone = (2 * special.gammaincinv(free / 2, parts) / free for free in (df, own))
    shared, alone = (one.ravel() for one in np.meshgrid(shared, alone))
    seen = special.fdtrc(own, df, alone / shared) < noisier
    larger = np.sqrt(np.maximum(shared, alone))
    bars = np.where(seen, -special.stdtrit(own, alpha) * np.sqrt(alone), -special.stdtrit(df, alpha) * larger)
    at_hand = larger[~seen] if reported == "larger" else np.sqrt(shared)
    points = (np.arange(60) + 0.5) / 60
    bars, at_hand = np.quantile(bars, points)[None, :], np.quantile(at_hand, points)[:, None]

    def detected(shift: float) -> float:
        return float(special.ndtr(shift * at_hand - bars).mean()) - power

    high = 10.0
    while detected(high) < 0:
        high *= 4
    return float(optimize.brentq(detected, 0.0, high))


@cache
def detectable_shift(df: float, alpha: float, power: float) -> float:
    """Compute the true difference, in standard errors, that a one-sided t-test at `alpha` detects at `power`."""
    critical = float(stats.t.ppf(1 - alpha, df))
    return float(optimize.brentq(lambda d: float(stats.nct.sf(critical, df, d)) - power, 0.0, 4 * critical + 10))


def power_of_t(df: float, alpha: float, shift: float, least: float = 0.0) -> float:
    """Compute the probability that a one-sided t-test at `alpha` detects a true difference of `shift` standard errors.

    Args:
        df: degrees of freedom.
        alpha: level of the test, 0 to 1.
        shift: the true difference, in standard errors.
        least: what the estimate must also reach, in standard errors. If it is set, the probability is integrated over
            the noise of the standard error; otherwise it is that of the noncentral t.
    """
    critical = float(stats.t.ppf(1 - alpha, df))
    if least == 0:
        return float(stats.nct.sf(critical, df, shift))
    # The estimate is normal and its standard error an independent chi: both conditions must hold.
    scale = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, df) / df)
    return float(stats.norm.sf(np.maximum(critical * scale, least) - shift).mean())
