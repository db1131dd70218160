"""All pairs of cells at once: their t-tests, and p-values by pair. A run of thousands of cells has millions of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import stats

from results.statistics.pair_errors import error_of, noise_of
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
    names, arrays = [name for name, _ in cells], [values for _, values in cells]
    noise = noise_of(names, arrays, shared)
    mean = np.array([np.mean(values) for values in arrays])
    found = []
    for one in range(len(names) - 1):
        error, df = error_of(noise[one + 1 :], noise[one], shared)
        found.append(_p(np.abs(mean[one] - mean[one + 1 :]), error, df))
    return np.concatenate(found) if found else np.empty(0)


def _p(distance: np.ndarray, error: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return two-sided p-values; without noise two equal means are a fact, and nothing else can be tested."""
    with np.errstate(all="ignore"):  # what cannot be tested divides by zero
        tested = np.where((error > 0) & (df > 0), 2 * stats.t.sf(distance / error, df), np.nan)
    return np.where((error == 0) & (distance == 0), 1.0, tested)
