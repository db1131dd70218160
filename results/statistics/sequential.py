"""Which trials come next, and what is decided: a pure function of a plan and the scores so far.

The plan is fixed before the first trial: the question, the margin, the chance of error, the first and the last look.
A look sees whole rounds only: all running cells at one more seed. Every call replays all looks from the scores. So the
order in which trials end, their number at a time, an interruption and a resumption cannot change a decision.

    best      leave out what is surely worse than some cell; ends with one left, or with a leader that is surely within
              the margin of every cell that is left
    release   the scores are head less base: ends when every cell is surely not worse by the margin, or when one has
              regressed, by more than the noise and by the margin
    groups    tell pairs apart; ends when no pair is open

Promises, each with chance alpha of breaking it, for all looks together: the best cell is not left out (best); no
unchanged cell is called regressed, and a given cell that lost the margin is not called ok (release); no two equal cells
are told apart (groups). The boundary: `boundaries`; the tests: `deciding`; by simulation: docs/statistics.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from results.statistics import deciding
from results.statistics.boundaries import ALPHA, SHAPE, constant
from results.statistics.deciding import Seen, State

Question = Literal["best", "release", "groups"]
End = Literal["decided", "limit", "budget", "failed"]
Scores = Mapping[str, Mapping[int, float | None]]
"""Cell -> seed -> score, None for a trial that ended without one. A trial that has not ended is absent."""
_KIND = {"best": "best", "release": "alarm", "groups": "pairs"}
LOST = 2
"""Seeds without a score from which on a cell may be set aside as failed, if they are a third of its seeds."""


@dataclass(frozen=True)
class Plan:
    """What is fixed before the first trial.

    Attributes:
        question: see the head of this file.
        margin: the difference that does not matter, in the unit of the scores; above 0 for a release, 0 for none.
        first, last: seeds of the first and of the last look.
        alpha: chance of error, 0 to 1.
        budget: most trials; None for no limit.
        hours: device-hours after which no further round begins; None for no limit.
        metrics: number of metrics that are judged side by side, each by such a plan; the chance of any false alarm is
            alpha over all of them (release).
    """

    question: Question = "best"
    margin: float = 0.0
    first: int = 2
    last: int = 10
    alpha: float = ALPHA
    budget: int | None = None
    hours: float | None = None
    metrics: int = 1


@dataclass(frozen=True)
class Out:
    """A cell that was left out (best), or that has regressed (release).

    Attributes:
        seeds: of the look.
        by: the leader then; empty in a release.
        at_least: how much worse it is at least, in the unit of the scores.
    """

    seeds: int
    by: str
    at_least: float


@dataclass(frozen=True)
class Bounds:
    """An estimate with an interval that holds over all looks, in the unit of the scores."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Look:
    """Where a plan stands.

    Attributes:
        ended: why nothing more is run; None while it goes on. "failed": no cell is left.
        next: (cell, seed) of the trials that the next look waits for, seed by seed.
        seeds: seeds of the last look; 0 before the first.
        trials: trials of all rounds that were looked at.
        left: cells that are neither left out nor set aside; in a release and in groups, those that are still open.
        out: left out, or regressed.
        ok: {cell: seeds of the look}: surely not worse (release), or all its pairs settled (groups).
        failed: {cell: seeds of the look}, set aside because too many of its trials gave no score.
        leader: the cell with the highest mean; empty before the first look and in a release.
        at_most: what taking the leader loses at most; infinite in a release and before the first look.
        intervals: best, groups: the leader's mean less the cell's; release: the change. Of a cell's last look.
        apart: groups: the pairs told apart.
    """

    ended: End | None = None
    next: tuple[tuple[str, int], ...] = ()
    seeds: int = 0
    trials: int = 0
    left: tuple[str, ...] = ()
    out: Mapping[str, Out] = field(default_factory=dict)
    ok: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    leader: str = ""
    at_most: float = float("inf")
    intervals: Mapping[str, Bounds] = field(default_factory=dict)
    apart: tuple[tuple[str, str], ...] = ()


def boundary(plan: Plan, cells: int) -> tuple[float, ...]:
    """Return the boundary of each look, from the first to the last, as a normal deviate.

    Raises:
        ValueError: the plan lies outside of the table; one line.
    """
    return _deviates(_KIND[plan.question], plan, cells * plan.metrics)


def _deviates(kind: str, plan: Plan, cells: int) -> tuple[float, ...]:
    c = constant(kind, cells, plan.first, plan.last, plan.alpha)
    return tuple(c * (plan.last / n) ** SHAPE for n in range(plan.first, plan.last + 1))


def check(plan: Plan, cells: int) -> None:
    """Refuse a plan that cannot begin.

    Raises:
        ValueError: one line.
    """
    if not 0 < plan.alpha < 1:
        raise ValueError(f"alpha {plan.alpha:g}: expected a chance between 0 and 1")
    if plan.question == "release" and not plan.margin > 0:
        raise ValueError("a release needs a margin above 0")
    boundary(plan, cells)
    if plan.budget is not None and plan.budget < cells * plan.first:
        raise ValueError(
            f"a budget of {plan.budget} trials is below the first round: {cells} cells x {plan.first} seeds"
        )


def look(plan: Plan, cells: Scores, hours: Mapping[tuple[str, int], float] | None = None) -> Look:
    """Replay a plan from its scores: what is decided, and which trials come next.

    Args:
        plan: what was fixed before the first trial.
        cells: the scores of all cells of the plan; seeds are 0, 1, ...; in a release, head less base.
        hours: device-hours of each trial, for a plan with a budget of hours.

    Raises:
        ValueError: the plan lies outside of the table; one line.
    """
    replay = _Replay(plan, cells, hours or {})
    for seeds in range(plan.first, plan.last + 1):
        missing = replay.take(seeds)
        if missing or replay.ended:
            return replay.found(missing)
        replay.step(seeds)
        if replay.ended:
            return replay.found()
    replay.ended = "limit"
    return replay.found()


class _Replay:
    """The looks at one grid, one after another."""

    def __init__(self, plan: Plan, cells: Scores, hours: Mapping[tuple[str, int], float]) -> None:
        self._plan, self._cells, self._names, self._hours = plan, cells, tuple(cells), hours
        self._tests = Tests(plan, len(cells))
        self._table = np.full((1, len(cells), plan.last), np.nan)
        self._state = deciding.begin(1, len(cells))
        self._trials, self._spent, self._seeds = 0, 0.0, 0
        self._out: dict[str, Out] = {}
        self._ok: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._bounds: dict[str, Bounds] = {}
        self._leader, self._at_most = "", float("inf")
        self.ended: End | None = None

    def take(self, seeds: int) -> list[tuple[str, int]]:
        """Take the scores of the next round, or return the trials that are missing from it."""
        running = [name for name, runs in zip(self._names, self._state.running[0], strict=True) if runs]
        round_ = [(name, seed) for seed in range(self._seeds, seeds) for name in running]
        plan = self._plan
        too_many = plan.budget is not None and self._trials + len(round_) > plan.budget
        if too_many or (plan.hours is not None and self._seeds and self._spent >= plan.hours):
            self.ended = "budget"
            return []
        if missing := [(name, seed) for name, seed in round_ if seed not in self._cells[name]]:
            return missing
        for name, seed in round_:
            score = self._cells[name][seed]
            self._table[0, self._names.index(name), seed] = np.nan if score is None else score
        self._trials += len(round_)
        self._spent += sum(self._hours.get(trial, 0.0) for trial in round_)
        return []

    def step(self, seeds: int) -> None:
        """Look at all rounds so far."""
        self._seeds = seeds
        self._set_aside(seeds)
        before = self._state
        if not before.running.any():
            self.ended = "failed"
            return
        seen = self._tests.look(self._table[:, :, :seeds], before)
        self._state = seen.state
        self._note(before, seen)
        if bool(self._tests.over(seen)[0]):
            self.ended = "decided"

    def _set_aside(self, seeds: int) -> None:
        """Set cells aside whose trials gave too few scores."""
        lost = np.isnan(self._table[0, :, :seeds]).sum(1)
        many = self._state.running[0] & (((lost >= LOST) & (3 * lost >= seeds)) | (lost == seeds))
        self._failed |= {self._names[i]: seeds for i in np.flatnonzero(many)}
        self._state = deciding.stop(self._state, many[None])

    def _note(self, before: State, seen: Seen) -> None:
        """Keep what a look says of its cells."""
        release = self._plan.question == "release"
        if not release:
            self._leader, self._at_most = self._names[int(seen.leader[0])], float(seen.at_most[0])
        for i in np.flatnonzero(before.running[0]):
            name = self._names[i]
            estimate, low, high = (float(one[0, i]) for one in (seen.estimate, seen.low, seen.high))
            self._bounds[name] = Bounds(estimate, low, high)
            verdict = seen.state.verdict[0, i]
            if verdict < 0:
                self._out[name] = Out(self._seeds, self._leader, -high if release else low)
            elif verdict > 0:
                self._ok[name] = self._seeds

    def found(self, missing: list[tuple[str, int]] | None = None) -> Look:
        """Return where the plan stands."""
        left = tuple(name for name, runs in zip(self._names, self._state.running[0], strict=True) if runs)
        pairs = np.argwhere(np.triu(self._state.apart[0], 1))
        return Look(
            self.ended, tuple(missing or ()), self._seeds, self._trials, left, self._out, self._ok, self._failed,
            self._leader, self._at_most, self._bounds, tuple((self._names[i], self._names[j]) for i, j in pairs),
        )  # fmt: skip


class Tests:
    """The tests of a plan, for R grids at once.

    Args:
        plan: what was fixed before the first trial.
        cells: number of cells.

    Raises:
        ValueError: the plan lies outside of the table; one line.
    """

    def __init__(self, plan: Plan, cells: int) -> None:
        self._plan, self._z = plan, boundary(plan, cells)
        self._ok = _deviates("ok", plan, cells) if plan.question == "release" else self._z

    def look(self, y: np.ndarray, state: State) -> Seen:
        """Look at scores of shape (R, k, n), n from the first to the last look."""
        plan, at = self._plan, y.shape[2] - self._plan.first
        if plan.question == "best":
            return deciding.look_best(y, state, self._z[at])
        if plan.question == "groups":
            return deciding.look_groups(y, state, partial(self._pairs, at), plan.margin)
        return deciding.look_release(y, state, self._z[at], self._ok[at], np.full(y.shape[1], plan.margin))

    def _pairs(self, at: int, cells: np.ndarray) -> np.ndarray:
        """Return the boundary of a look by the number of cells, shapes (R,). Only numbers that occur are looked up."""
        numbers, places = np.unique(cells, return_inverse=True)
        return np.array([boundary(self._plan, int(number))[at] for number in numbers])[places]

    def over(self, seen: Seen) -> np.ndarray:
        """Return which of the R grids are decided, shape (R,)."""
        running = seen.state.running.sum(1)
        if self._plan.question == "best":
            return (running <= 1) | (seen.at_most < self._plan.margin)
        if self._plan.question == "groups":
            return running == 0
        return (running == 0) | (seen.state.verdict < 0).any(1)


@dataclass(frozen=True)
class Rehearsal:
    """Plans played to their end on R made-up grids.

    Attributes:
        trials: shape (R,).
        decided: shape (R,), whether it ended before the limit or at it with a decision.
        verdict: shape (R, k), see `deciding.State`.
        leader: shape (R,), the last one.
        apart: shape (R, k, k), the pairs told apart (groups).
    """

    trials: np.ndarray
    decided: np.ndarray
    verdict: np.ndarray
    leader: np.ndarray
    apart: np.ndarray


def rehearse(plan: Plan, y: np.ndarray) -> Rehearsal:
    """Play a plan without a budget on made-up scores of shape (R, k, last)."""
    grids, cells, _ = y.shape
    tests, state = Tests(plan, cells), deciding.begin(grids, cells)
    trials, decided, leader = np.zeros(grids, int), np.zeros(grids, bool), np.zeros(grids, int)
    verdict, apart = state.verdict.copy(), state.apart.copy()
    going = np.arange(grids)
    for seeds in range(plan.first, plan.last + 1):
        trials[going] += state.running.sum(1) * (plan.first if seeds == plan.first else 1)
        seen = tests.look(y[going][:, :, :seeds], state)
        leader[going], verdict[going], apart[going] = seen.leader, seen.state.verdict, seen.state.apart
        over = tests.over(seen)
        decided[going[over]] = True
        state, going = deciding.keep(seen.state, ~over), going[~over]
        if not len(going):
            break
    return Rehearsal(trials, decided, verdict, leader, apart)
