"""`python -m results.statistics.boundaries > results/statistics/boundaries.csv`: how far a look must see to decide.

After each round of seeds a test looks. Its statistic is the normal deviate z with the same tail probability as the
t-value, so that few degrees of freedom are on one scale with many. The look after n of at most N seeds decides beyond
`c (N / n)^(1/4)`. The constant c is found by simulating the null hypothesis once, so that the chance of a wrong call at
any look is alpha exactly, for normal noise that is equal in all cells:

    best    a given one of k equal cells is left out
    alarm   any of k unchanged cells is called worse
    ok      one of k cells that lost the margin is called ok
    pairs   any two of k equal cells are told apart

Sources: Pocock (1977) and O'Brien and Fleming (1979), between which this boundary lies; Jennison and Turnbull (2000),
for t-values on the scale of z; Gupta (1965), for the cells that may be the best.
"""

from functools import cache
from pathlib import Path

import numpy as np
from scipy import optimize, special

TABLE = Path(__file__).with_name("boundaries.csv")
ALPHA = 0.05
SHAPE = 0.25
KINDS = ("best", "alarm", "ok", "pairs")
MOST_CELLS, MOST_SEEDS, LATEST_FIRST = 40, 20, 5
DRAWS, CHUNK = 20_000, 2_000
_JUDGED = 4
"""Cells of a grid whose own statistic is kept. They are alike; more would add time and no precision to speak of."""


def constant(kind: str, cells: int, first: int, last: int, alpha: float = ALPHA) -> float:
    """Return c of a plan: from the table, or simulated if the table has another alpha. That takes seconds, once.

    Args:
        kind: one of KINDS.
        cells: 1 to MOST_CELLS; 2 or more for "best" and "pairs".
        first, last: seeds of the first and of the last look, 2 to LATEST_FIRST and `first` to MOST_SEEDS.
        alpha: 0 to 1.

    Raises:
        ValueError: outside these ranges.
    """
    least = 1 if kind in ("alarm", "ok") else 2
    if not least <= cells <= MOST_CELLS:
        raise ValueError(f"{cells} cells; a sequential plan has {least} to {MOST_CELLS}")
    if not (2 <= first <= min(LATEST_FIRST, last) and last <= MOST_SEEDS):
        raise ValueError(f"seeds {first} to {last}; the first look is at 2 to {LATEST_FIRST}, the last at {MOST_SEEDS}")
    if alpha == ALPHA:
        return _table()[kind, first, last][cells - 1]
    return simulated(cells, alpha)[kind, first, last]


@cache
def _table() -> dict[tuple[str, int, int], list[float]]:
    lines = [line.split(",") for line in TABLE.read_text(encoding="utf-8").splitlines()[1:]]
    return {(kind, int(first), int(last)): list(map(float, values)) for kind, first, last, *values in lines}


@cache
def simulated(cells: int, alpha: float = ALPHA, draws: int = DRAWS) -> dict[tuple[str, int, int], float]:
    """Simulate the constants of all plans with so many cells: {(kind, first, last): c}; "best" of one cell is NaN.

    Args:
        cells: number of cells.
        alpha: 0 to 1.
        draws: number of simulated grids.
    """
    rng = np.random.default_rng([cells, 7])
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for _ in range(draws // CHUNK):
        for kind, z in deviates(rng.standard_normal((CHUNK, cells, MOST_SEEDS))).items():
            found[kind].append(z.astype(np.float32))
    joined = {kind: np.concatenate(parts) for kind, parts in found.items()}
    return {
        (kind, first, last): _quantile(z, first, last, alpha)
        for kind, z in joined.items()
        for first in range(2, LATEST_FIRST + 1)
        for last in range(first, MOST_SEEDS + 1)
    }


def _quantile(z: np.ndarray, first: int, last: int, alpha: float) -> float:
    """Return the constant that the greatest of the looks passes with chance alpha."""
    share = (np.arange(first, last + 1) / last).astype(np.float32) ** SHAPE
    greatest = (z[..., first - 2 : last - 1] * share).max(-1)
    return float(np.quantile(greatest, 1 - alpha))


def deviates(y: np.ndarray) -> dict[str, np.ndarray]:
    """Return the test statistics of R grids at every look, as normal deviates.

    Args:
        y: scores of equal cells, shape (R, k, N).

    Returns:
        {kind: shape (R, looks), or (R, some cells, looks)}; the looks are at 2 to N seeds.
    """
    cells, most = y.shape[1:]
    n = np.arange(2, most + 1)
    sums, squares = y.cumsum(2)[:, :, 1:], (y**2).cumsum(2)[:, :, 1:]
    means = sums / n
    within = (squares - sums * means).sum(1)
    by_seed = (y.sum(1) ** 2).cumsum(1)[:, 1:] / cells
    blocked = squares.sum(1) - (sums * means).sum(1) - by_seed + sums.sum(1) ** 2 / (cells * n)
    alone, free = cells * (n - 1), (cells - 1) * (n - 1)
    t = means / np.sqrt(within / alone / n)[:, None]
    found = {"alarm": deviate(t.max(1), alone), "ok": deviate(t[:, :_JUDGED], alone)}
    if cells == 1:
        return found | dict.fromkeys(("best", "pairs"), np.full(found["alarm"].shape, np.nan))
    error = np.sqrt(blocked / free * 2 / n)
    order = np.sort(means, 1)
    few = means[:, :_JUDGED]
    others = np.where(few == order[:, -1:], order[:, -2:-1], order[:, -1:])  # the best of the others
    found["best"] = deviate((others - few) / error[:, None], free)
    found["pairs"] = deviate((order[:, -1] - order[:, 0]) / error, free)
    return found


def deviate(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return the normal deviate with the same upper tail probability as Student's t."""
    return -special.ndtri(np.clip(special.stdtr(df, -t), 1e-300, 1 - 1e-16))


def t_value(z: np.ndarray | float, df: np.ndarray) -> np.ndarray:
    """Return the t-value with the same upper tail probability as a normal deviate; infinite without freedom."""
    return np.where(df > 0, -special.stdtrit(np.maximum(df, 1), special.ndtr(-np.asarray(z))), np.inf)


@cache
def single_look(cells: int, df: int, alpha: float = ALPHA) -> float:
    """Return the boundary of "best" for one look at any number of cells, as a normal deviate, by quadrature.

    It is the t-value that the best of k - 1 equal cells passes against a given one with chance alpha.

    Args:
        cells: 2 or more.
        df: degrees of freedom of the noise, 1 or more.
        alpha: 0 to 1.

    Sources: Dunnett (1955), one-sided; Gupta (1965).
    """
    parts = (np.arange(400) + 0.5) / 400
    spread = np.sqrt(2 * special.gammaincinv(df / 2, parts) / df)[:, None]
    given = special.ndtri(parts)[None, :]

    def passed(t: float) -> float:
        return float(1 - (special.ndtr(np.sqrt(2) * t * spread + given) ** (cells - 1)).mean()) - alpha

    t = float(optimize.brentq(passed, 0.0, 1e4))
    return float(deviate(np.array(t), np.array(df)))


def _write() -> str:
    """Return the table as CSV: a row per kind, first and last; a column per number of cells."""
    by_cells = [simulated(cells) for cells in range(1, MOST_CELLS + 1)]
    lines = [",".join(["kind", "first", "last", *(str(cells) for cells in range(1, MOST_CELLS + 1))])]
    for kind, first, last in by_cells[-1]:
        lines.append(",".join([kind, str(first), str(last), *(f"{one[kind, first, last]:.3f}" for one in by_cells)]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(_write(), end="")
