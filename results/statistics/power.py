"""Power of a t-test: the smallest detectable difference, and the probability to detect a given one."""

from functools import cache

import numpy as np
from scipy import optimize, stats


def smallest_detectable(
    sd: float, n: int, df: float, *, alpha: float = 0.05, power: float = 0.8, sides: int = 2
) -> float:
    """Compute the true difference between two cells that a t-test at `alpha` detects with probability `power`.

    With many degrees of freedom and one side this is the known 2.03 sd at n = 3, 1.57 at 5, and 1.11 at 10.

    Args:
        sd: standard deviation of the values, in their unit.
        n: seeds of each of the two cells.
        df: degrees of freedom of `sd`.
        alpha, power: probabilities, 0 to 1.
        sides: 1 or 2.

    Returns:
        The difference in the unit of `sd`; NaN when `sd`, `n` or `df` is not above zero.

    Source: Cohen (1988), chapter 2; solved with the noncentral t distribution.
    """
    if not (n > 0 and df > 0 and sd > 0):
        return float("nan")
    return float(detectable_shift(df, alpha / sides, power) * sd * np.sqrt(2 / n))


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
