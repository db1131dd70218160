"""All pairs of cells at once: their t-tests, and p-values by pair. A run of thousands of cells has millions of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import stats

from results.statistics.pooling import Pool, Values


class PairValues(Mapping[tuple[str, str], float]):
    """A number per pair of names, {(earlier, later): number}, in the order of `itertools.combinations`.

    Args:
        order: the names.
        values: shape (n (n - 1) / 2,).
    """

    def __init__(self, order: Sequence[str], values: np.ndarray) -> None:
        self._order, self._values = tuple(order), values
        self._place = {name: place for place, name in enumerate(self._order)}

    def __getitem__(self, pair: tuple[str, str]) -> float:
        first, second = (self._place[name] for name in pair)
        if first >= second:
            raise KeyError(pair)
        before = first * (2 * len(self._order) - first - 1) // 2  # pairs of the names before the first
        return float(self._values[before + second - first - 1])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return combinations(self._order, 2)

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> list[float]:  # type: ignore[override]
        """Return the numbers, without a look-up per pair."""
        return self._values.tolist()

    def items(self) -> Iterator[tuple[tuple[str, str], float]]:  # type: ignore[override]
        """Yield the pairs and their numbers, without a look-up per pair."""
        return zip(self, self.values(), strict=True)


def p_of_pairs(cells: Sequence[tuple[str, Values]], shared: Pool | None) -> np.ndarray:
    """Return the two-sided p-value of each pair of cells, as `between` tests them, NaN where no test was possible.

    Args:
        cells: (name, array of shape (seeds,)) of n cells.
        shared: the noise of their run; None: Welch's test.

    Returns:
        Shape (n (n - 1) / 2,), in the order of `itertools.combinations`.
    """
    names = [name for name, _ in cells]
    arrays = [np.asarray(values, float) for _, values in cells]
    number = np.array([len(values) for values in arrays], float)
    mean = np.array([values.mean() for values in arrays])
    spread = np.array([values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan for values in arrays])
    own = _own_variances(names, arrays, shared)
    alone = np.array([shared is None or name in shared.unpooled for name in names])
    found = []
    with np.errstate(all="ignore"):  # what cannot be tested divides by zero
        for one in range(len(names) - 1):
            rest = slice(one + 1, None)
            error, df = _welch(spread[rest], number[rest], spread[one], number[one])
            if shared is not None:
                pooled = _pooled(shared, own[rest], number[rest], own[one], number[one])
                together = ~(alone[rest] | alone[one])
                error, df = np.where(together, pooled, error), np.where(together, shared.df, df)
            found.append(_p(np.abs(mean[one] - mean[rest]), error, df))
    return np.concatenate(found) if found else np.empty(0)


def _own_variances(names: Sequence[str], arrays: Sequence[np.ndarray], shared: Pool | None) -> np.ndarray:
    """Return (n, 2): the variance of each cell without the effect of the seeds, NaN if unknown, and that of its values.

    A cell of one value has the shared variance.
    """
    if shared is None:
        return np.full((len(names), 2), np.nan)
    plain = [float(values.var(ddof=1)) if len(values) > 1 else shared.variance for values in arrays]
    return np.array([[shared.own.get(name, np.nan) for name in names], plain], float).T


def _pooled(shared: Pool, own: np.ndarray, number: np.ndarray, other: np.ndarray, others: float) -> np.ndarray:
    """Return the standard errors of the differences of cells to another, the larger of the shared one and of their own.

    The variances are those without the effect of the seeds if both cells have one.
    """
    known = ~np.isnan(own[:, 0]) & ~np.isnan(other[0])
    first, second = np.where(known, own[:, 0], own[:, 1]), np.where(known, other[0], other[1])
    together = shared.variance * (1 / number + 1 / others)
    return np.sqrt(np.maximum(together, first / number + second / others))


def _welch(spread: np.ndarray, number: np.ndarray, other: float, others: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard errors of the differences of cells to another by Welch's test, and their degrees of freedom.

    Args:
        spread, other: standard errors of the means.
        number, others: numbers of seeds.
    """
    first, second = spread**2, other**2
    df = (first + second) ** 2 / (first**2 / (number - 1) + second**2 / (others - 1))
    return np.sqrt(first + second), df


def _p(distance: np.ndarray, error: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return two-sided p-values; without noise two equal means are a fact, and nothing else can be tested."""
    tested = np.where((error > 0) & (df > 0), 2 * stats.t.sf(distance / error, df), np.nan)
    return np.where((error == 0) & (distance == 0), 1.0, tested)
