"""The gate between two releases: is a cell worse by more than the noise, and by a margin? Pure functions on arrays.

The unit is a seed (a process start). The cells share their variance, as in `results.statistics`. Holm's method keeps
the probability of any false alarm in an unchanged release below `alpha`. A cell gets one of four verdicts:

    regressed      worse by more than the noise (after Holm) and by at least the margin
    improved       better by more than the noise (after Holm) and by at least the margin
    ok             not worse by the margin: the interval's lower end lies above minus the margin (non-inferiority)
    inconclusive   the seeds cannot decide; the number of further seeds that could is given

Its error rates, by simulation: docs/gate.md.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from scipy import special

from results.statistics.confidence import standard_error
from results.statistics.multiplicity import discovered, holm
from results.statistics.pooling import Pool, Seeds, degrees_of_freedom, pool, seed_effect
from results.statistics.power import detectable_shift

Verdict = Literal["ok", "improved", "regressed", "inconclusive"]
Key = TypeVar("Key", bound=Hashable)

# Base and head on the same seeds are paired if the differences have at least this many degrees of freedom. From there
# on, halving them costs less than a correlation of .3 gains. The values themselves do not decide: pairing only where
# they happen to correlate selects the releases whose error is underestimated; one in six was a false alarm
# (docs/gate.md).
PAIRED_DF = 4


@dataclass(frozen=True)
class Change:
    """One cell's change from base to head on the scale of the test, where more is better.

    Attributes:
        estimate: the change, in the unit of the values; NaN if one side has none.
        low, high: its interval, with 5 % on each side; NaN if there is no estimate of noise.
        p_worse, p_better: one-sided p-values; NaN if no test was possible.
        error: standard error of `estimate`.
        df: degrees of freedom of `error`.
        seeds: numbers of seeds of base and head.
        method: "pooled", "paired", "welch" (an outlier), "identical", "constant" (seeds do not vary at all) or "none".
    """

    estimate: float
    low: float
    high: float
    p_worse: float
    p_better: float
    error: float
    df: float
    seeds: tuple[int, int]
    method: str


@dataclass(frozen=True)
class Decision:
    """The verdict on one change.

    Attributes:
        verdict: see the head of this file.
        p: Holm-adjusted p-value of being worse.
        suspect: whether it is worse at a false discovery rate (default 10 %), but did not regress.
        smallest: the true loss that the gate would have detected with the stated power, on the scale of the test.
        more_seeds: further seeds per side that would decide an inconclusive cell (0: decided, or unknown).
    """

    verdict: Verdict
    p: float
    suspect: bool
    smallest: float
    more_seeds: int


def changes(cells: Mapping[Key, tuple[Seeds, Seeds]], level: float = 0.90) -> dict[Key, Change]:
    """Compute the change of each cell in one metric, more being better.

    All cells given here share one noise: pass those of one data set and one schedule. Cells whose base and head ran the
    same seeds are paired if together they have at least `PAIRED_DF` degrees of freedom.

    Args:
        cells: {name: (base {seed: value}, head {seed: value})}.
        level: level of the intervals, 0 to 1; 0.90 leaves 5 % on each side.
    """
    steps = _steps(cells)
    shared, unpooled = _pool(*({(name, side): pair[side] for name, pair in cells.items()} for side in (0, 1)))
    common, unpooled_steps = _pool(steps)
    found = {}
    for name, pair in cells.items():
        a, b = map(_values, pair)
        if cells[name][0] == cells[name][1] and len(a):
            # The same software on the same seeds may give identical values; there is nothing to estimate then.
            found[name] = Change(0.0, 0.0, 0.0, 1.0, 1.0, 0.0, np.inf, (len(a), len(b)), "identical")
        elif common and name in steps and np.ptp(_values(steps[name])) > 0:
            found[name] = _paired(_values(steps[name]), None if name in unpooled_steps else common, level)
        else:
            found[name] = _unpaired(a, b, None if {(name, 0), (name, 1)} & unpooled else shared, level)
    return found


def _values(seeds: Seeds) -> np.ndarray:
    return np.array([*seeds.values()], float)


def _steps(cells: Mapping[Key, tuple[Seeds, Seeds]]) -> dict[Key, Seeds]:
    """Return head minus base, seed by seed, of the cells that are to be paired."""
    steps: dict[Key, Seeds] = {
        name: {seed: head[seed] - base[seed] for seed in base}
        for name, (base, head) in cells.items()
        if set(base) == set(head) and len(base) > 1
    }
    return steps if sum(len(values) - 1 for values in steps.values()) >= PAIRED_DF else {}


def _pool(*sides: Mapping[Key, Seeds]) -> tuple[Pool | None, set[Key]]:
    """Pool the variance of the cells of all sides, and name the cells that `pool` left out of it.

    The degrees of freedom are summed over the sides: within one side, the cells of a seed may be correlated.
    """
    names = [(side, name) for side, cells in enumerate(sides) for name in cells]
    shared = pool({f"{index}": _values(sides[side][name]) for index, (side, name) in enumerate(names)})
    if shared is None:
        return None, set()
    unpooled = {names[int(index)] for index in shared.unpooled}
    inside = [
        {name: seeds for name, seeds in cells.items() if (side, name) not in unpooled}
        for side, cells in enumerate(sides)
    ]
    return replace(shared, df=sum(map(degrees_of_freedom, inside))), {name for _, name in unpooled}


def _paired(steps: np.ndarray, shared: Pool | None, level: float) -> Change:
    n = len(steps)
    sd, df = (shared.sd, shared.df) if shared else (float(steps.std(ddof=1)), n - 1)
    return _change(float(steps.mean()), sd / np.sqrt(n), df, (n, n), "paired", level)


def _unpaired(a: np.ndarray, b: np.ndarray, shared: Pool | None, level: float) -> Change:
    seeds, nan = (len(a), len(b)), float("nan")
    if not len(a) or not len(b):
        return Change(nan, nan, nan, nan, nan, nan, nan, seeds, "none")
    d = float(b.mean() - a.mean())
    if shared is None and (len(a) < 2 or len(b) < 2):
        return Change(d, nan, nan, nan, nan, nan, nan, seeds, "none")
    if shared is None and np.ptp(a) == np.ptp(b) == 0:
        # Every seed gives the same number, as a collapsed training does: the difference is a fact, not an estimate.
        return Change(d, d, d, float(d >= 0), float(d <= 0), 0.0, np.inf, seeds, "constant")
    error, df, method = standard_error(a, b, shared)
    return _change(d, error, df, seeds, method, level)


def _change(d: float, error: float, df: float, seeds: tuple[int, int], method: str, level: float) -> Change:
    # Student's t by SciPy's plain functions: the distribution objects would take most of the time of a comparison.
    half, t = float(special.stdtrit(df, (1 + level) / 2)) * error, d / error
    p_worse, p_better = float(special.stdtr(df, t)), float(special.stdtr(df, -t))
    return Change(d, d - half, d + half, p_worse, p_better, float(error), float(df), seeds, method)


def decide(
    found: Mapping[Key, Change],
    margins: Mapping[Key, float],
    *,
    alpha: float = 0.05,
    suspects: float = 0.10,
    power: float = 0.8,
) -> dict[Key, Decision]:
    """Decide a verdict per change, over all cells and metrics that guard one release, corrected together.

    Args:
        found: {name: change} of all cells and metrics, each on its own scale.
        margins: {name: the loss that matters}, positive, on the same scale.
        alpha: probability of any false alarm. The probability of calling a lost margin ok is that of the intervals of
            the changes.
        suspects: false discovery rate of the suspects (Benjamini and Hochberg 1995).
        power: power of `smallest` and `more_seeds`, 0 to 1.
    """
    names = list(found)
    worse = holm([found[name].p_worse for name in names])
    better = holm([found[name].p_better for name in names])
    suspected = discovered(np.array([found[name].p_worse for name in names]), suspects)
    tests = max(1, int(np.sum(~np.isnan(worse))))
    return {
        name: _decide(found[name], margins[name], worse[i], better[i], bool(suspected[i]), alpha, power, tests)
        for i, name in enumerate(names)
    }


def _decide(
    one: Change, margin: float, worse: float, better: float, suspect: bool, alpha: float, power: float, tests: int
) -> Decision:
    verdict: Verdict = "inconclusive"
    if worse <= alpha and one.estimate <= -margin:
        verdict = "regressed"
    elif better <= alpha and one.estimate >= margin:
        verdict = "improved"
    elif one.low > -margin:
        verdict = "ok"
    smallest, more = float("nan"), 0
    if one.error == 0:
        smallest = margin
    elif one.error > 0:
        strict = detectable_shift(one.df, alpha / tests, power)
        # To be detected, the estimate must also lie beyond the margin.
        smallest = max(strict * one.error, margin + float(special.stdtrit(one.df, power)) * one.error)
        if verdict == "inconclusive":
            a, b = one.seeds
            sd = one.error / np.sqrt(1 / a + 1 / b)
            lost = one.estimate <= -margin
            shift = strict if lost else detectable_shift(one.df, alpha, power)
            more = max(1, int(np.ceil(2 * (shift * sd / max(margin, -one.estimate)) ** 2)) - min(a, b))
    return Decision(verdict, float(worse), suspect and verdict != "regressed", smallest, more)


def headline(
    cells: Mapping[Key, tuple[Seeds, Seeds]], strata: Mapping[Key, Hashable] | None = None, level: float = 0.90
) -> Change:
    """Test the grid as a whole: the mean over its cells of (mean of head - mean of base).

    Noise is pooled within each stratum; an outlier keeps its own. Cells count as independent. But cells of one seed may
    be correlated, since they share initial weights and the order of data. If the deviations of a seed, averaged over
    the cells, are larger than independence explains (`seed_effect`), the means per seed are compared instead, with
    their fewer degrees of freedom. Cells without a value on both sides are left out.

    Args:
        cells: {name: (base {seed: value}, head {seed: value})}.
        strata: {name: the stratum that shares one noise}; default: all cells are one.
        level: level of the interval, 0 to 1.

    Source: Satterthwaite (1946), for the degrees of freedom of a sum of variances.
    """
    kept = {name: pair for name, pair in cells.items() if pair[0] and pair[1]}
    nan = float("nan")
    none = Change(nan, nan, nan, nan, nan, nan, nan, (0, 0), "none")
    if not kept:
        return none
    d = float(np.mean([np.mean(_values(head)) - np.mean(_values(base)) for base, head in kept.values()]))
    seeds = (min(len(base) for base, _ in kept.values()), min(len(head) for _, head in kept.values()))
    if all(base == head for base, head in kept.values()):
        return Change(0.0, 0.0, 0.0, 1.0, 1.0, 0.0, np.inf, seeds, "identical")
    together = [_seed_means_together([pair[side] for pair in kept.values()]) for side in (0, 1)]
    if any(means is not None for means in together):
        base, head = (
            means if means is not None else _means([pair[side] for pair in kept.values()])
            for side, means in enumerate(together)
        )
        return none if len(base) < 2 or len(head) < 2 else _unpaired(base, head, None, level)
    parts: list[tuple[float, float]] = []
    for stratum in {(strata or {}).get(name) for name in kept}:
        found = _variance_of_sum([pair for name, pair in kept.items() if (strata or {}).get(name) == stratum])
        if not found:
            return none
        parts += found
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / own for part, own in parts)
    return _change(d, float(np.sqrt(variance)) / len(kept), df, seeds, "pooled", level)


def _variance_of_sum(pairs: list[tuple[Seeds, Seeds]]) -> list[tuple[float, float]]:
    """Return (variance, degrees of freedom) per part of the error of a sum of changes; empty without noise estimate."""
    sides = [{(row, side): pair[side] for row, pair in enumerate(pairs)} for side in (0, 1)]
    shared, unpooled = _pool(*sides)
    if shared is None:
        return []
    values = {key: _values(seeds) for side in sides for key, seeds in side.items()}
    alone = [values[key] for key in unpooled if np.ptp(values[key]) > 0]  # the others do not vary at all
    common = sum(shared.variance / len(one) for key, one in values.items() if key not in unpooled)
    return [(common, shared.df), *((float(one.var(ddof=1)) / len(one), len(one) - 1) for one in alone)]


def _means(sides: list[Seeds]) -> np.ndarray:
    """Return the mean over the cells per seed that all of them ran."""
    common = sorted(set.intersection(*(set(side) for side in sides)))
    return np.array([np.mean([side[seed] for side in sides]) for seed in common], float)


def _seed_means_together(sides: list[Seeds]) -> np.ndarray | None:
    """Return the mean over the cells per seed that all of them ran if the cells of a seed are correlated, else None."""
    common = sorted(set.intersection(*(set(side) for side in sides)))
    if len(sides) < 2 or len(common) < 2:
        return None
    table = np.array([[side[seed] for seed in common] for side in sides], float)
    return table.mean(axis=0) if seed_effect(table, above=0.0) else None
