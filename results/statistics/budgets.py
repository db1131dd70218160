"""What a budget is worth: whether a short training ranks methods as a converged one does."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from results.statistics.pooling import Seeds, Values
from results.statistics.ranking import rank

Scores = Mapping[str, Seeds]
"""{method: {seed: score}} after one budget."""
_Both = Mapping[str, tuple[Seeds, Seeds]]  # {method: its scores early and at convergence, of the same seeds}


@dataclass(frozen=True)
class BudgetWorth:
    """One budget against the converged training.

    A verdict is a pair of methods that the letters of the budget tell apart (`results.statistics.rank`).

    Attributes:
        share: the budget as a share of the converged training, 0 to 1.
        tau: Kendall's tau-b of the means with those at convergence, -1 to 1; NaN with fewer than two methods.
        low, high: its bootstrap interval over seeds; NaN with one seed, or if all methods have equal scores.
        pairs: number of pairs of methods.
        verdicts: number of verdicts of the budget.
        held: how many of them convergence repeats.
        turned: how many it turns round: the other method is better by more than the noise.
    """

    share: float
    tau: float
    low: float
    high: float
    pairs: int
    verdicts: int
    held: int
    turned: int

    @property
    def dissolved(self) -> int:
        """Return the number of verdicts whose methods convergence cannot tell apart."""
        return self.verdicts - self.held - self.turned

    @property
    def share_turned(self) -> float:
        """Return the share of the verdicts that turn round, 0 to 1; NaN without a verdict."""
        return self.turned / self.verdicts if self.verdicts else math.nan


def worth(
    budgets: Mapping[float, Scores], *, alpha: float = 0.05, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> list[BudgetWorth]:
    """Compare the ranking after each budget with that of the converged training, which has the largest share.

    Args:
        budgets: {share of the converged training: scores}. Methods that a budget lacks are left out of its row.
        alpha: probability of any false verdict of one budget, 0 to 1.
        level: level of the interval of tau.
        draws: number of bootstrap samples. Seeds are drawn with replacement, the same ones for all methods if all ran
            the same seeds, and the same ones at both budgets, whose scores come from one seed.
        seed: of the random numbers.

    Returns:
        One row per budget, in order of the shares; the last compares convergence with itself.

    Sources: Kendall (1938, 1945); Efron (1979).
    """
    if not budgets:
        return []
    final = budgets[max(budgets)]
    return [_row(share, budgets[share], final, alpha, level, draws, seed) for share in sorted(budgets)]


def _row(share: float, early: Scores, final: Scores, alpha: float, level: float, draws: int, seed: int) -> BudgetWorth:
    both = {
        name: ({s: early[name][s] for s in shared}, {s: final[name][s] for s in shared})
        for name in final
        if (shared := sorted({*early.get(name, {})} & {*final[name]}))
    }
    tau = kendall_tau(_means(both, 0), _means(both, 1))
    low, high = _interval(both, level, draws, seed)
    before = _verdicts({name: first for name, (first, _) in both.items()}, alpha)
    after = _verdicts({name: last for name, (_, last) in both.items()}, alpha)
    held = len(before & after)
    turned = len(before & {(worse, better) for better, worse in after})
    return BudgetWorth(share, tau, low, high, math.comb(len(both), 2), len(before), held, turned)


def _verdicts(scores: Scores, alpha: float) -> set[tuple[str, str]]:
    """Return the pairs (better, worse) that the letters tell apart."""
    found = rank(scores, alpha)
    return {pair for pair, p in found.p.items() if p <= found.alpha}


def _means(both: _Both, place: int) -> np.ndarray:
    """Return the means over the seeds, one per method: early at place 0, final at place 1."""
    return np.array([np.mean([*of_method[place].values()]) for of_method in both.values()], float)


def _interval(both: _Both, level: float, draws: int, seed: int) -> tuple[float, float]:
    """Return the percentiles of tau over samples of the seeds; NaN with fewer than two methods or seeds, or without a
    sample in which methods differ."""
    counts = [len(first) for first, _ in both.values()]
    if len(both) < 2 or min(counts) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    alike = len({tuple(first) for first, _ in both.values()}) == 1
    common = rng.integers(counts[0], size=(draws, counts[0]))
    drawn = [common if alike else rng.integers(count, size=(draws, count)) for count in counts]
    early, final = (
        np.stack(
            [np.array([*of[place].values()])[own].mean(1) for of, own in zip(both.values(), drawn, strict=True)], 1
        )
        for place in (0, 1)
    )
    taus = _taus(early, final)
    defined = taus[~np.isnan(taus)]
    if not defined.size:  # in no sample do the methods differ
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def kendall_tau(first: Values, second: Values) -> float:
    """Compute Kendall's tau-b of two lists of scores of the same methods.

    >>> round(kendall_tau([1, 2, 3], [1, 3, 2]), 3)
    0.333

    Args:
        first, second: shapes (methods,).

    Returns:
        -1 to 1; NaN with fewer than two methods, or if all scores of a list are equal.
    """
    return float(_taus(np.asarray(first, float)[None], np.asarray(second, float)[None])[0])


def _taus(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute tau-b of each row of two arrays (samples, methods); shape (samples,)."""
    one, other = np.triu_indices(first.shape[1], 1)
    a, b = (np.sign(scores[:, one] - scores[:, other]) for scores in (first, second))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), scale, out=np.full(len(scale), np.nan), where=scale > 0)
