"""One look of a sequential plan, at many grids at once: which cells stop, and what is known of them.

All statements come from intervals that hold over all looks together (Jennison and Turnbull 2000, repeated confidence
intervals), so any rule of stopping keeps them. The error of a cell or pair is the larger of what the cells share and of
its own: a noisy cell is not lent the others' smaller error. A cell that is seen to be noisier than the others has its
own alone, with its own degrees of freedom (`results.statistics.pooling`). What was learnt of the noise from cells that
have stopped stays. Arrays have a first axis of R grids, so that `bench.perf.sequential` simulates with the code that
decides.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from results.statistics.blocks import Fit, fit
from results.statistics.boundaries import t_value
from results.statistics.pooling import noisier_cells

AT_A_LOOK = 0.02
"""Level of the F-test by which a cell is seen to be noisier than the others at a look. Looking often, it is seen sooner
or later, and each time costs trials (docs/statistics.md)."""


@dataclass(frozen=True)
class State:
    """What earlier looks have left.

    Attributes:
        running: shape (R, k), the cells that still run.
        verdict: shape (R, k): -1 left out or regressed, 1 ok, 0 open. A cell set aside as failed runs no more and is 0.
        squares, df: shape (R,), the noise of cells that have stopped.
        apart: shape (R, k, k), the pairs told apart; used by `groups` alone.
    """

    running: np.ndarray
    verdict: np.ndarray
    squares: np.ndarray
    df: np.ndarray
    apart: np.ndarray


def begin(grids: int, cells: int) -> State:
    """Return the state before the first look: every cell runs."""
    return State(
        np.ones((grids, cells), bool),
        np.zeros((grids, cells), int),
        np.zeros(grids),
        np.zeros(grids, int),
        np.zeros((grids, cells, cells), bool),
    )


def stop(state: State, cells: np.ndarray) -> State:
    """Return the state without some of the cells, shape (R, k), and without a verdict on them."""
    return replace(state, running=state.running & ~cells)


def keep(state: State, grids: np.ndarray) -> State:
    """Return the state of some of the grids, shape (R,)."""
    return State(*(getattr(state, part.name)[grids] for part in fields(state)))


@dataclass(frozen=True)
class Seen:
    """What a look sees; NaN for cells that do not take part.

    Attributes:
        state: for the next look.
        leader: shape (R,), the cell with the highest mean of those that run; of no use for a release.
        estimate, low, high: shape (R, k). For `best` and `groups` the leader's mean less that of the cell, else the
            change of the cell. The interval holds over all looks; beyond it lies the chance of the plan on each side.
        at_most: shape (R,), what taking the leader loses at most; 0 if it is alone.
    """

    state: State
    leader: np.ndarray
    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_most: np.ndarray


def look_best(y: np.ndarray, state: State, z: float) -> Seen:
    """Leave out the cells that are surely worse than the leader.

    Args:
        y: scores, shape (R, k, n); NaN where a trial gave none.
        state: what earlier looks have left.
        z: the boundary of this look.
    """
    found = fit(y, state.running)
    noise = _noise(found, state)
    rows, means = np.arange(len(y)), np.where(state.running & (found.counts > 0), found.means, -np.inf)
    leader = means.argmax(1)
    gap = means.max(1)[:, None] - means
    error, free = _error(noise, leader)
    half = _bar(z, free, noise.df) * error
    measured = np.isfinite(gap)
    others = measured & (np.arange(y.shape[1]) != leader[:, None])
    out = others & (gap > half)
    at_most = np.where(others & ~out, half - gap, 0.0).max(1).clip(min=0.0)
    stopped = _without(y, state, found, out)
    verdict = np.where(out, -1, state.verdict)
    half[rows, leader] = 0.0
    low, high = (np.where(measured, gap + side * half, np.nan) for side in (-1, 1))
    after = State(state.running & ~out, verdict, *stopped, state.apart)
    return Seen(after, leader, np.where(measured, gap, np.nan), low, high, at_most)


def look_release(steps: np.ndarray, state: State, z_alarm: float, z_ok: float, margin: np.ndarray) -> Seen:
    """Find the cells that have regressed, and those that are surely not worse by the margin.

    A cell whose steps are all zero repeats itself to the bit: it is ok, and says nothing of the noise.

    Args:
        steps: head less base by seed, shape (R, k, n); NaN where either gave no score.
        state: what earlier looks have left.
        z_alarm, z_ok: the boundaries of this look.
        margin: shape (k,), the loss that matters, above 0.
    """
    there = state.running[:, :, None] & ~np.isnan(steps)
    counts = there.sum(2)
    values = np.where(there, steps, 0.0)
    means = values.sum(2) / np.maximum(counts, 1)
    own = (np.where(there, steps - means[:, :, None], 0.0) ** 2).sum(2)
    same = (counts > 1) & (np.abs(values).max(2) == 0)
    noisy = np.where(there, values, -np.inf).max(2) > np.where(there, values, np.inf).min(2)
    squares = np.where(noisy, own, 0.0).sum(1) + state.squares
    df = np.where(noisy, counts - 1, 0).sum(1) + state.df
    pooled = squares / np.maximum(df, 1)
    alone = noisier_cells(own, np.where(noisy, counts - 1, 0), AT_A_LOOK, _stopped(state))
    variance = np.where(noisy, np.maximum(pooled[:, None], own / np.maximum(counts - 1, 1)), pooled[:, None])
    variance = np.where(alone, own / np.maximum(counts - 1, 1), variance)
    error, free = np.sqrt(variance / np.maximum(counts, 1)), np.where(alone, counts - 1, df[:, None])
    down, up = (_bar(z, free, df) * np.where(df[:, None] > 0, error, 1.0) for z in (z_ok, z_alarm))
    down, up = np.where(same, 0.0, down), np.where(same, 0.0, up)
    judged = state.running & (counts > 1)
    bad = judged & (means + up < 0) & (means <= -margin)
    ok = judged & ~bad & (means - down > -margin)
    stopped = bad | ok
    after = State(
        state.running & ~stopped,
        np.where(bad, -1, np.where(ok, 1, state.verdict)),
        state.squares + np.where(stopped & noisy, own, 0.0).sum(1),
        state.df + np.where(stopped & noisy, counts - 1, 0).sum(1),
        state.apart,
    )
    shown = np.where(judged, means, np.nan)
    none = np.zeros(len(steps))
    return Seen(after, none.astype(int), shown, shown - down, shown + up, none)


Steps = Callable[[np.ndarray], np.ndarray]
"""The boundary of a look by the number of cells that may still equal another one, shapes (R,)."""


def look_groups(y: np.ndarray, state: State, z: Steps, margin: float) -> Seen:
    """Tell pairs apart. A cell stops once all its pairs with running cells are told apart, or surely within the margin.

    The boundary steps down: it is that of the cells which have a pair that is not told apart, those that have stopped
    among them. Before the first wrong call these are all cells that equal another one, or more. So a wrong call needs
    the range of equal cells, no more than those of the boundary, to pass it at some look, which has chance alpha.

    Args:
        y: scores, shape (R, k, n); NaN where a trial gave none.
        state: what earlier looks have left.
        z: the boundary of this look.
        margin: difference that does not matter; 0 for none.

    Source: Holm (1979), for the steps.
    """
    found = fit(y, state.running)
    noise = _noise(found, state)
    grids, cells, _ = y.shape
    measured = state.running & (found.counts > 0)
    means = np.where(measured, found.means, 0.0)
    both = measured[:, :, None] & measured[:, None, :] & ~np.eye(cells, dtype=bool)
    gap = means[:, :, None] - means[:, None, :]
    pairs = [_error(noise, np.full(grids, other)) for other in range(cells)]
    error, free = (np.stack(parts, 2) for parts in zip(*pairs, strict=True))
    half = _bar(z(np.full(grids, cells)), free, noise.df) * error
    distance = np.where(both, np.abs(gap) / error, -np.inf)
    apart = _told_apart(distance, state.apart, lambda left: _bar(z(left), free, noise.df))
    alike = both & (np.abs(gap) + half < margin)
    still = (both & ~apart & ~alike).any(2)
    stopped = state.running & ~still
    squares, free = _without(y, state, found, stopped)
    after = State(state.running & still, np.where(stopped, 1, state.verdict), squares, free, apart)
    rows, leader = np.arange(grids), np.where(measured, means, -np.inf).argmax(1)
    behind, width, told = gap[rows, leader], half[rows, leader], apart[rows, leader]
    width[rows, leader] = 0.0
    low = np.where(told, np.maximum(behind - width, 0.0), behind - width)
    estimate, low, high = (np.where(measured, one, np.nan) for one in (behind, low, behind + width))
    at_most = np.where(measured & ~told, width - behind, 0.0).max(1).clip(min=0.0)
    return Seen(after, leader, estimate, low, high, at_most)


def _told_apart(t: np.ndarray, apart: np.ndarray, bars: Steps) -> np.ndarray:
    """Return the pairs told apart, step by step: those so far, and those whose t-value passes the boundary.

    Args:
        t: shape (R, k, k); minus infinity for pairs that are not tested.
        apart: shape (R, k, k), told apart by earlier looks.
        bars: the boundary of this look as t-values, shape (R, k, k).
    """
    same = np.eye(t.shape[1], dtype=bool)
    while True:
        open_ = (~apart & ~same).any(2).sum(1)
        more = ~apart & (t > bars(np.maximum(open_, 2)))
        if not more.any():
            return apart
        apart = apart | more


def _stopped(state: State) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise of cells that have stopped, shape (R, 1) each: squares and degrees of freedom."""
    return state.squares[:, None], state.df[:, None]


@dataclass(frozen=True)
class _Noise:
    """The noise at a look: shared variance and its degrees of freedom (R,), and of each cell (R, k) what is its own.

    `part` and `free` are its part of the squared error of a pair of which a cell is judged alone, and its freedom.
    """

    variance: np.ndarray
    df: np.ndarray
    counts: np.ndarray
    own: np.ndarray
    alone: np.ndarray
    part: np.ndarray
    free: np.ndarray


def _noise(found: Fit, state: State) -> _Noise:
    """Return the noise of the cells that run, and of those that have stopped."""
    squares, df = found.squares + state.squares, found.df + state.df
    variance, df = squares / np.maximum(df, 1), np.where(squares > 0, df, 0)
    counts, shared = np.maximum(found.counts, 1), variance[:, None]
    own = np.where(found.own > 0, found.own, shared)
    known = (found.own > 0) & (df[:, None] > 0)
    alone = noisier_cells(found.own * (counts - 1), np.where(known, counts - 1, 0), AT_A_LOOK, _stopped(state))
    part = np.where(alone, own, np.maximum(own, shared)) / counts
    return _Noise(variance, df, counts, own, alone, part, np.where(alone, counts - 1, np.maximum(df, 1)[:, None]))


def _error(noise: _Noise, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the error of each cell's distance from another one (R,), and its degrees of freedom, shape (R, k) each.

    It is the larger of the shared and of the pair's own, or that of cells judged alone, as in `error_of`. Without
    degrees of freedom the error is 1, so that its multiple of infinity is infinite.
    """
    rows, counts = np.arange(len(other)), noise.counts
    shared = noise.variance[:, None] * (1 / counts + (1 / counts[rows, other])[:, None])
    squared = np.maximum(shared, noise.own / counts + (noise.own / counts)[rows, other][:, None])
    free = np.broadcast_to(noise.df[:, None], squared.shape)
    if noise.alone.any():
        either = noise.alone | noise.alone[rows, other][:, None]
        both, terms = noise.part + noise.part[rows, other][:, None], noise.part**2 / noise.free
        with np.errstate(invalid="ignore"):  # cells that take no part
            free = np.where(either, both**2 / (terms + terms[rows, other][:, None]), free)
        squared = np.where(either, both, squared)
    return np.where(noise.df[:, None] > 0, np.sqrt(squared), 1.0), free


def _bar(z: np.ndarray | float, free: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return the t-values of a boundary, shape of `free`, most of which is the degrees of freedom (R,) of all cells."""
    whole = tuple(range(1, free.ndim))
    bars = np.broadcast_to(np.expand_dims(t_value(z, df), whole), free.shape)
    if not (rare := free != np.expand_dims(df, whole)).any():
        return bars
    bars, z = bars.copy(), np.broadcast_to(np.expand_dims(np.broadcast_to(z, df.shape), whole), free.shape)
    bars[rare] = t_value(z[rare], free[rare])
    return bars


def _without(y: np.ndarray, state: State, found: Fit, stopped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise of all cells that have stopped: what the fit of the others no longer sees."""
    left = fit(y, state.running & ~stopped)
    some = stopped.any(1)
    squares = np.where(some, np.maximum(found.squares - left.squares, 0.0), 0.0)
    return state.squares + squares, state.df + np.where(some, found.df - left.df, 0)
