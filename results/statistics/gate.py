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
from results.statistics.pooling import Pool, Seeds, degrees_of_freedom, noisier, pool, seed_effect
from results.statistics.power import detectable_shift, seen_shift

Verdict = Literal["ok", "improved", "regressed", "inconclusive"]
Key = TypeVar("Key", bound=Hashable)

# Seeds that base and head share are paired if their differences have at least this many degrees of freedom. With one,
# nothing could be seen; from two on, halving them costs less than what reruns gain that correlate at .6. The values
# themselves do not decide: pairing only where they happen to correlate selects the releases whose error is
# underestimated; one in six was a false alarm (docs/gate.md).
PAIRED_DF = 2
NOISIER = 0.10
"""Level of the F-test by which a cell is seen to be noisier than the others. A high one: it costs the cell power, and a
noisy cell that is not seen costs false alarms (docs/gate.md)."""
LENDERS = 7
"""A shared variance counts at most as that of so many cells. Pooled over more it would be known better, but not how far
a cell's own lies from it, and the largest of many t-values belongs to a cell that is noisier than it showed."""


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

    All cells given here share one noise: pass those of one data set and one schedule. Seeds that base and head both ran
    are paired, whatever else either of them ran, if the steps of all cells together have `PAIRED_DF` degrees of
    freedom. The variance is the larger of the one that the cells share and of the cell's own, so that a noisy cell is
    not lent the smaller error of the others. A cell that is seen to be noisier than the others (`NOISIER`) has its own
    variance with its own degrees of freedom.

    Args:
        cells: {name: (base {seed: value}, head {seed: value})}.
        level: level of the intervals, 0 to 1; 0.90 leaves 5 % on each side.
    """
    steps = _steps(cells)
    shared, alone = _noise(*({name: pair[side] for name, pair in cells.items()} for side in (0, 1)))
    common, alone_in_steps = _noise(steps)
    found = {}
    for name, (base, head) in cells.items():
        noise = None if name in alone else shared
        if _repeats(base, head):
            # The same software on the same seeds may give identical values; there is nothing to estimate then.
            found[name] = Change(0.0, 0.0, 0.0, 1.0, 1.0, 0.0, np.inf, (len(base), len(head)), "identical")
        elif common and name in steps and np.ptp(_values(steps[name])) > 0:
            paired = None if name in alone_in_steps else common
            found[name] = _paired(steps[name], paired, _others(base, head), noise, level)
        else:
            found[name] = _unpaired(_values(base), _values(head), noise, level)
    return found


def _values(seeds: Seeds) -> np.ndarray:
    return np.array([*seeds.values()], float)


def _repeats(base: Seeds, head: Seeds) -> bool:
    """Return whether head repeats base to the bit on the seeds of both: two or more, or all that one side has."""
    both = set(base) & set(head)
    enough = len(both) > 1 or (len(both) == 1 and 1 in (len(base), len(head)))
    return enough and all(base[seed] == head[seed] for seed in both)


def _steps(cells: Mapping[Key, tuple[Seeds, Seeds]]) -> dict[Key, Seeds]:
    """Return head minus base, seed by seed, of the cells that are to be paired."""
    both = {name: sorted(set(base) & set(head)) for name, (base, head) in cells.items()}
    steps: dict[Key, Seeds] = {
        name: {seed: cells[name][1][seed] - cells[name][0][seed] for seed in seeds}
        for name, seeds in both.items()
        if len(seeds) > 1
    }
    return steps if sum(len(values) - 1 for values in steps.values()) >= PAIRED_DF else {}


def _others(base: Seeds, head: Seeds) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of each side on the seeds that the other did not run."""
    return (
        np.array([value for seed, value in base.items() if seed not in head], float),
        np.array([value for seed, value in head.items() if seed not in base], float),
    )


def _noise(*sides: Mapping[Key, Seeds]) -> tuple[Pool | None, set[Key]]:
    """Return the variance that the cells of all sides share, and the cells that are judged by their own alone.

    Its degrees of freedom are at most those of `LENDERS` cells.
    """
    shared, unpooled = _pool(*({(name, side): seeds for name, seeds in of.items()} for side, of in enumerate(sides)))
    if shared is None:
        return None, set()
    values = {name: [_values(of[name]) for of in sides if name in of] for of in sides for name in of}
    squares = {name: sum(float(((one - one.mean()) ** 2).sum()) for one in of) for name, of in values.items()}
    free = {name: sum(max(len(one) - 1, 0) for one in of) for name, of in values.items()}
    alone = {name for name, _ in unpooled}
    inside = [name for name in values if name not in alone and free[name]]
    if inside:
        shared = replace(shared, df=min(shared.df, LENDERS * sum(free[name] for name in inside) / len(inside)))
    alone |= {*noisier({name: squares[name] for name in inside}, free, NOISIER)}
    return shared, alone


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


def _paired(
    steps: Seeds, common: Pool | None, others: tuple[np.ndarray, np.ndarray], shared: Pool | None, level: float
) -> Change:
    """Return the change of a cell with shared seeds.

    If both sides ran further seeds as well, the unpaired change on those is joined with weights that depend on the
    numbers of seeds alone: those that are right where reruns of a seed correlate at .5.

    Source: Satterthwaite (1946), for the degrees of freedom of a sum of variances.
    """
    values, (a, b) = _values(steps), others
    n = len(values)
    error, df = larger_error(values, common)
    d, seeds = float(values.mean()), (n + len(a), n + len(b))
    if not len(a) or not len(b) or (shared is None and min(len(a), len(b)) < 2):
        return _change(d, error, df, seeds, "paired", level)
    more, more_df, _ = standard_error(a, b, shared)
    weight = n / (n + len(a) * len(b) / (len(a) + len(b)))
    parts = [(weight * error) ** 2, ((1 - weight) * more) ** 2]
    d = weight * d + (1 - weight) * float(b.mean() - a.mean())
    df = sum(parts) ** 2 / sum(part**2 / own for part, own in zip(parts, (df, more_df), strict=True) if part)
    return _change(d, float(np.sqrt(sum(parts))), df, seeds, "paired", level)


def larger_error(values: np.ndarray, common: Pool | None) -> tuple[float, float]:
    """Return the standard error of a mean, of the larger of a shared and the own variance, and its df.

    Args:
        values: shape (n,), n at least 2.
        common: the variance that cells share; None for the own alone.
    """
    own, n = float(values.var(ddof=1)), len(values)
    variance, df = (max(common.variance, own), common.df) if common else (own, n - 1)
    return float(np.sqrt(variance / n)), df


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
        smallest = smallest_loss(one, margin, alpha / tests, power)
        if verdict == "inconclusive":
            a, b = one.seeds
            sd = one.error / np.sqrt(1 / a + 1 / b)
            lost = one.estimate <= -margin
            shift = detectable_shift(one.df, alpha / tests if lost else alpha, power)
            more = max(1, int(np.ceil(2 * (shift * sd / max(margin, -one.estimate)) ** 2)) - min(a, b))
    return Decision(verdict, float(worse), suspect and verdict != "regressed", smallest, more)


def smallest_loss(one: Change, margin: float, level: float, power: float) -> float:
    """Compute the true loss that the next comparison like this one calls with probability `power`.

    Args:
        one: a change with an error above 0.
        margin: beyond which the estimate must lie, too.
        level: of the test, Holm's first step.
        power: 0 to 1.
    """
    own = max(1, min(one.seeds) - 1 if one.method == "paired" else sum(one.seeds) - 2)
    alone = own >= one.df
    df = float(f"{one.df:.2g}")  # a few values, each of which is worked out once
    seen = seen_shift(df, min(own, df), level, power, noisier=0.0 if alone else NOISIER)
    return max(seen * one.error, margin + float(special.stdtrit(one.df, power)) * one.error)


def headline(
    cells: Mapping[Key, tuple[Seeds, Seeds]], strata: Mapping[Key, Hashable] | None = None, level: float = 0.90
) -> Change:
    """Test the grid as a whole: the mean over its cells of (mean of head - mean of base).

    Seeds that both sides ran are paired if every cell has two or more; then the steps (head less base) are what varies.
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
    seeds = (min(len(base) for base, _ in kept.values()), min(len(head) for _, head in kept.values()))
    if all(_repeats(base, head) for base, head in kept.values()):
        return Change(0.0, 0.0, 0.0, 1.0, 1.0, 0.0, np.inf, seeds, "identical")
    sides = _sides(kept)
    method = "pooled" if len(sides) == 2 else "paired"
    together = [_seed_means_together([*side.values()]) for side in sides]
    if any(means is not None for means in together):
        return _of_seed_means(sides, together, level) or none
    parts: list[tuple[float, float]] = []
    for stratum in {(strata or {}).get(name) for name in kept}:
        inside = [name for name in kept if (strata or {}).get(name) == stratum]
        found = _variance_of_sum([{name: side[name] for name in inside} for side in sides])
        if not found:
            return none
        parts += found
    signs = (1,) if method == "paired" else (-1, 1)
    means = ([_values(side[name]).mean() for name in kept] for side in sides)
    d = float(sum(sign * np.mean(side) for sign, side in zip(signs, means, strict=True)))
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / own for part, own in parts)
    return _change(d, float(np.sqrt(variance)) / len(kept), df, seeds, method, level)


def _sides(pairs: Mapping[Key, tuple[Seeds, Seeds]]) -> list[dict[Key, Seeds]]:
    """Return what varies: the steps of all cells if every cell has two shared seeds, else the values of each side."""
    steps: dict[Key, Seeds] = {
        name: {seed: head[seed] - base[seed] for seed in base if seed in head} for name, (base, head) in pairs.items()
    }
    if all(len(one) > 1 for one in steps.values()):
        return [steps]
    return [{name: pair[side] for name, pair in pairs.items()} for side in (0, 1)]


def _of_seed_means(sides: list[dict[Key, Seeds]], together: list[np.ndarray | None], level: float) -> Change | None:
    """Return the change of the means per seed, one-sample if paired; None with fewer than two seeds."""
    means = [one if one is not None else _means([*side.values()]) for side, one in zip(sides, together, strict=True)]
    if any(len(one) < 2 for one in means):
        return None
    if len(means) == 2:
        return _unpaired(means[0], means[1], None, level)
    error, df = larger_error(means[0], None)
    return _change(float(means[0].mean()), error, df, (len(means[0]),) * 2, "paired", level)


def _variance_of_sum(sides: list[dict[Key, Seeds]]) -> list[tuple[float, float]]:
    """Return (variance, degrees of freedom) per part of the error of a sum of changes; empty without noise estimate."""
    keyed = [{(name, index): seeds for name, seeds in side.items()} for index, side in enumerate(sides)]
    shared, unpooled = _pool(*keyed)
    if shared is None:
        return []
    values = {key: _values(seeds) for side in keyed for key, seeds in side.items()}
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
