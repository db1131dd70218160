"""Find the commit that made a metric worse, from noisy measurements: a search by halves. Pure functions of numbers.

The commits are 0 (GOOD) to n (BAD). A score is on a scale on which more is worse (for a ratio: a logarithm). Commit i
is worse than GOOD by m(i) on average; the whole difference is D = m(n), and m need not rise steadily.

1. Turns of (GOOD, BAD) are measured until D is above 0 beyond the noise and its estimate at least the margin
   (*worse*), or D is surely below the margin (*none*), or the turns are used up (*undecided*).
2. The commit in the middle is measured in turns of (GOOD, it, BAD). Each turn gives its score less the mean of GOOD
   and BAD: the distance from the middle line D / 2. It is *good* if that is below 0 beyond the noise and its estimate
   lies in the lower quarter of the difference, *bad* likewise above, *between* if it surely lies between the quarters,
   *undecided* if the turns are used up. The search goes on in the half that is left.
3. A commit between, undecided or skipped never moves an end. The search then goes on at both sides of it. So the answer
   is a commit, or a range of commits.

**Guarantee.** The chance of a wrong answer is at most `alpha` over the whole search. The answer (good, bad] is wrong if
D <= 0, or if m(good) > D / 2, or if m(bad) < D / 2. A right answer therefore holds a commit across which the metric
crossed the middle between GOOD and BAD for the worse; if the metric changed at one commit only, it holds that commit.
By the estimates, though not with the same certainty, the metric got worse by D / 2 or more across it: at most a quarter
lies before and at most a quarter after. *None* is wrong, with the same chance at most, if D is the margin or more.

Why it holds: with D <= 0 only the first test can fail, which has all of `alpha`; with D > 0 only the halving can. A
first wrong verdict of the halving falls on a test whose null hypothesis (on the other side of the middle) is true. Each
test spends a share of `alpha` that is set before it looks: what is left, divided by the halvings that are left; and
divides this equally over its looks (Bonferroni). A look is a t-test over turns at a fixed number of turns. What is
assumed: turns are independent; noise is normal. The pooled variance is that of all turns so far: it is an approximation
in so far as tests stop early where the noise seems small. Simulated, with noise that is not so kind: docs/gate.md.

Sources: Jennison and Turnbull (2000), for tests with several looks; Dunn (1961); Wald (1945) for the idea of deciding
as soon as possible; Marcus, Peritz and Gabriel (1976) for the full alpha of both stages.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy import special

from results.statistics.turns import Contrast, Noise, contrast, looks, noise

Scores = Mapping[tuple[int, int], float | None]
"""(commit, turn) -> score, more is worse; None if the trial gave none."""
StepVerdict = Literal["open", "worse", "none", "good", "bad", "between", "undecided", "skipped", "failed"]
Outcome = Literal["open", "none", "found", "undecided", "failed"]

ENDS, MIDDLE = (-1.0, 1.0), (-0.5, 1.0, -0.5)
FIRST_LOOK = {2: 3, 3: 2}
"""Commits per turn -> turns of the first look. Two turns of two commits have one degree of freedom: nothing to see."""
_ENDINGS: dict[StepVerdict, Outcome] = {
    "open": "open", "none": "none", "undecided": "undecided", "failed": "failed"
}  # fmt: skip
LOST = 2
"""Turns running that a commit may give no score before it is given up."""


@dataclass(frozen=True)
class SearchPlan:
    """What is fixed before the first trial.

    Attributes:
        commits: number of BAD; GOOD is 0.
        margin: smallest difference that matters, on the scale of the scores; above 0.
        most_turns: turns after which a step stays undecided, at least 3.
        fresh: whether GOOD and BAD are measured anew for each step, as what drifts with the hour needs; else a score
            belongs to its commit and turn (a seed), and is measured once.
        alpha: chance of a wrong answer over the whole search, 0 to 1.
    """

    commits: int
    margin: float
    most_turns: int = 16
    fresh: bool = True
    alpha: float = 0.05


@dataclass(frozen=True)
class SearchStep:
    """One test of the search.

    Attributes:
        commit: what is tested; BAD's number in the first step.
        verdict: see the head of this file; "open" if it needs more turns, "failed" if GOOD or BAD gave no score.
        level: the one-sided chance of error that the step may spend.
        turns: complete turns.
        estimate: how much worse than GOOD, on the scale of the scores; NaN before the first look.
        low, high: interval of `estimate`, at the level of a look. In a halving it is that of the distance from the
            middle line, to which half the difference is added.
        span: the whole difference, as estimated then; NaN before the first look.
    """

    commit: int
    verdict: StepVerdict
    level: float
    turns: int = 0
    estimate: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    span: float = float("nan")


@dataclass(frozen=True)
class Effect:
    """How much worse `bad` is than `good`, on the scale of the scores, with a 95 % interval (not widened for looks)."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Search:
    """Where a search stands; a function of the plan, the scores and the broken commits alone.

    Attributes:
        outcome: "found" if `good` and `bad` can be brought no closer, "none", "undecided" (about GOOD and BAD),
            "failed" (GOOD or BAD gives no scores: the last step names it), else "open".
        steps: the tests so far, in order.
        good, bad: the last commit known to be good, and the first known to be bad. The answer is one of the commits
            good + 1 to bad, provided that the first step says *worse*.
        between: commits inside this range that were measured, and lie between or stayed undecided.
        skipped: commits inside this range without a score.
        next: (commit, turn) of the trials until the next look, in the order in which they are to be run.
    """

    outcome: Outcome
    steps: tuple[SearchStep, ...]
    good: int
    bad: int
    between: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    next: tuple[tuple[int, int], ...] = ()

    @property
    def differs(self) -> bool:
        """Whether BAD was shown to be worse than GOOD."""
        return bool(self.steps) and self.steps[0].verdict == "worse"


@dataclass(frozen=True)
class _Turns:
    """The turns of one step: complete ones as a table (turns, commits), and what is still to be run."""

    table: np.ndarray
    numbers: tuple[int, ...]  # of its rows
    end: int  # the turn after the last one that was looked at, complete or not
    given_up: int | None  # a commit that was lost in turns running
    pending: tuple[tuple[int, int], ...]


@dataclass
class _State:
    """What the replay of a search has learnt so far."""

    good: int
    bad: int
    left: float
    start: int = 0
    between: set[int] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)
    noise: Noise = field(default_factory=Noise)  # of all steps that ended
    spans: list[float] = field(default_factory=list)  # BAD less GOOD, of all turns of these
    steps: list[SearchStep] = field(default_factory=list)


def replay(plan: SearchPlan, scores: Scores, broken: Collection[int] = ()) -> Search:
    """Replay a search from its scores: what is decided, and which trials come next.

    The order in which scores arrive, an interruption, or a look in the middle of a turn change nothing.

    Args:
        plan: what was fixed before the first trial.
        scores: {(commit, turn): score, or None for a trial without one}.
        broken: commits that cannot be measured at all, such as those that cannot be built.

    Raises:
        ValueError: the plan is out of its ranges.
    """
    if plan.commits < 1 or plan.margin <= 0 or plan.most_turns < 3 or not 0 < plan.alpha < 1:
        raise ValueError(f"a search needs commits >= 1, margin > 0, most_turns >= 3 and 0 < alpha < 1: {plan}")
    state = _State(0, plan.commits, plan.alpha)
    pending = _first(plan, scores, state)
    if state.steps[0].verdict != "worse":
        return _search(state, _ENDINGS[state.steps[0].verdict], pending)
    while (commit := _candidate(state, broken)) is not None:
        pending = _halve(plan, scores, state, commit)
        if state.steps[-1].verdict in ("open", "failed"):
            return _search(state, _ENDINGS[state.steps[-1].verdict], pending)
    state.skipped |= {commit for commit in broken if state.good < commit < state.bad}
    return _search(state, "found", ())


def _search(state: _State, outcome: Outcome, pending: tuple[tuple[int, int], ...]) -> Search:
    inside = range(state.good + 1, state.bad)
    between, skipped = (tuple(sorted(found & {*inside})) for found in (state.between, state.skipped))
    return Search(outcome, tuple(state.steps), state.good, state.bad, between, skipped, pending)


def _first(plan: SearchPlan, scores: Scores, state: _State) -> tuple[tuple[int, int], ...]:
    """Test whether BAD differs from GOOD; return the trials that this still needs."""
    turns = _turns(plan, scores, (0, plan.commits), 0)
    numbers = looks(FIRST_LOOK[2], plan.most_turns)
    step = SearchStep(plan.commits, "open" if turns.pending else "undecided", plan.alpha, len(turns.table))
    for n in numbers:
        if n > len(turns.table):
            break
        found = contrast(turns.table[:n], ENDS)
        half = found.half(plan.alpha / len(numbers))
        low, high = found.estimate - half, found.estimate + half
        step = replace(step, turns=n, estimate=found.estimate, low=low, high=high, span=found.estimate)
        if low > 0 and found.estimate >= plan.margin:
            step = replace(step, verdict="worse")
        elif high < plan.margin:
            step = replace(step, verdict="none")
        if step.verdict in ("worse", "none"):
            break
    if step.verdict in ("open", "undecided"):
        step = replace(step, turns=len(turns.table))
        if turns.given_up is not None:
            step = replace(step, verdict="failed", commit=turns.given_up)
    _close(plan, state, step, turns)
    return turns.pending if step.verdict == "open" else ()


def _halve(plan: SearchPlan, scores: Scores, state: _State, commit: int) -> tuple[tuple[int, int], ...]:
    """Test one commit against the middle line and move the ends; return the trials that this still needs."""
    level = state.left / sum(width.bit_length() for width in map(len, _gaps(state)))
    state.left -= level
    turns = _turns(plan, scores, (0, commit, plan.commits), state.start)
    step = SearchStep(commit, "open" if turns.pending else "undecided", level, len(turns.table))
    numbers = looks(FIRST_LOOK[3], plan.most_turns)
    for n in numbers:
        if n > len(turns.table):
            break
        step = _look(step, turns.table[:n], state, level / len(numbers))
        if step.verdict in ("good", "bad", "between"):
            break
    if step.verdict in ("open", "undecided"):
        step = replace(step, turns=len(turns.table))
        if turns.given_up is not None:
            step = replace(step, verdict="skipped" if turns.given_up == commit else "failed")
            step = replace(step, commit=turns.given_up)
    _move(state, step)
    _close(plan, state, step, turns)
    return turns.pending if step.verdict == "open" else ()


def _look(step: SearchStep, table: np.ndarray, earlier: _State, level: float) -> SearchStep:
    """Judge a commit by its distance from the middle line, after the turns of `table`."""
    found = contrast(table, MIDDLE, earlier.noise + noise(table))
    span = float(np.mean([*earlier.spans, *(table[:, -1] - table[:, 0])]))
    half, quarter = found.half(level), span / 4
    verdict = step.verdict
    if span > 0 and found.estimate + half < 0 and found.estimate <= -quarter:
        verdict = "good"
    elif span > 0 and found.estimate - half > 0 and found.estimate >= quarter:
        verdict = "bad"
    elif abs(found.estimate) + half < quarter:
        verdict = "between"
    middle = span / 2 + found.estimate
    return replace(
        step, verdict=verdict, turns=len(table), estimate=middle, low=middle - half, high=middle + half, span=span
    )


def _move(state: _State, step: SearchStep) -> None:
    """Move an end of the search, or note that the commit moves none."""
    if step.verdict == "good":
        state.good = step.commit
    elif step.verdict == "bad":
        state.bad = step.commit
    elif step.verdict in ("between", "undecided"):
        state.between.add(step.commit)
    elif step.verdict == "skipped":
        state.skipped.add(step.commit)


def _close(plan: SearchPlan, state: _State, step: SearchStep, turns: _Turns) -> None:
    """Keep a step and the turns on which it rests."""
    state.steps.append(step)
    if not plan.fresh or step.verdict == "open":
        return  # scores that are kept belong to several steps; they must not count twice
    table = turns.table[: step.turns]
    state.noise += noise(table)
    state.spans += [*(table[:, -1] - table[:, 0])]
    decided = step.verdict not in ("undecided", "skipped", "failed")
    state.start = turns.numbers[step.turns - 1] + 1 if decided else turns.end


def _gaps(state: _State) -> Iterator[range]:
    """Yield the ranges of commits in which the search may go on: below and above those known to lie between."""
    inside = sorted(commit for commit in state.between if state.good < commit < state.bad)
    if inside:
        yield range(state.good + 1, inside[0])
        yield range(inside[-1] + 1, state.bad)
    else:
        yield range(state.good + 1, state.bad)


def _candidate(state: _State, broken: Collection[int]) -> int | None:
    """Return the commit to test next: in the widest gap, nearest to its middle; None if none is left."""
    best: tuple[int, int] | None = None
    for gap in _gaps(state):
        possible = [commit for commit in gap if commit not in state.skipped and commit not in broken]
        if possible and (best is None or len(gap) > best[0]):
            middle = (gap.start + gap.stop - 1) / 2
            best = len(gap), min(possible, key=lambda commit: (abs(commit - middle), commit))
    return best[1] if best else None


def _turns(plan: SearchPlan, scores: Scores, commits: tuple[int, ...], start: int) -> _Turns:
    """Collect the complete turns of a step, from turn `start` on, and the trials that come next."""
    rows: dict[int, list[float]] = {}
    lost = dict.fromkeys(commits, 0)
    turn = start
    while len(rows) < plan.most_turns and turn < start + 2 * plan.most_turns:
        found = {commit: scores[commit, turn] for commit in commits if (commit, turn) in scores}
        failed = [commit for commit, score in found.items() if score is None]
        if not failed and len(found) < len(commits):
            return _close_turns(rows, commits, turn, None, _pending(plan, scores, commits, turn, len(rows)))
        if not failed:
            rows[turn] = [float(score) for score in found.values() if score is not None]
        lost = {commit: lost[commit] + (commit in failed) if failed else 0 for commit in commits}
        turn += 1
        given_up = next((commit for commit in commits if lost[commit] >= LOST), None)
        if given_up is not None:
            return _close_turns(rows, commits, turn, given_up)
    return _close_turns(rows, commits, turn)


def _close_turns(
    rows: dict[int, list[float]],
    commits: tuple[int, ...],
    end: int,
    given_up: int | None = None,
    pending: tuple[tuple[int, int], ...] = (),
) -> _Turns:
    table = np.array([*rows.values()], float).reshape(-1, len(commits))
    return _Turns(table, tuple(rows), end, given_up, pending)


def _pending(
    plan: SearchPlan, scores: Scores, commits: tuple[int, ...], turn: int, complete: int
) -> tuple[tuple[int, int], ...]:
    """Return the trials of the turns until the next look.

    Every other turn runs backwards, and the tested commit runs in the middle: a steady drift then cancels.
    """
    wanted = next(n for n in looks(FIRST_LOOK[len(commits)], plan.most_turns) if n > complete)
    return tuple(
        (commit, number)
        for number in range(turn, turn + wanted - complete)
        for commit in (commits if number % 2 == 0 else commits[::-1])
        if (commit, number) not in scores
    )


def effect_across(scores: Scores, good: int, bad: int) -> Effect:
    """Estimate how much worse one commit is than another, from the turns of a search.

    Turns that hold both are compared inside the turn. If there are fewer than two of these, both are compared with
    GOOD, each in its own turns.

    Args:
        scores: of a search, see `replay`.
        good, bad: numbers of two commits, such as those of `Search`.

    Returns:
        NaN for an interval that the turns do not allow.
    """
    every = sum(map(noise, _blocks(scores)), Noise())
    direct = _pairs(scores, good, bad)
    beside = len(direct) > 1 or 0 in (good, bad)
    parts = [direct] if beside else [_pairs(scores, 0, bad), _pairs(scores, 0, good)]
    if any(len(part) < 2 for part in parts):
        return Effect(float("nan"), float("nan"), float("nan"))
    found: list[Contrast] = [contrast(part, ENDS, every) for part in parts]
    estimate = found[0].estimate - sum(one.estimate for one in found[1:])
    variance = sum(one.error**2 for one in found)
    half = float(special.stdtrit(min(one.df for one in found), 0.975)) * float(np.sqrt(variance))
    return Effect(estimate, estimate - half, estimate + half)


def _pairs(scores: Scores, first: int, second: int) -> np.ndarray:
    """Return the turns that hold scores of both commits, shape (turns, 2)."""
    turns = sorted({turn for commit, turn in scores if commit == first})
    rows = [(scores[first, turn], scores.get((second, turn))) for turn in turns]
    return np.array([row for row in rows if None not in row], float).reshape(-1, 2)


def _blocks(scores: Scores) -> Iterator[np.ndarray]:
    """Yield the complete turns as tables, one for each set of commits that was measured side by side."""
    commits: dict[int, list[int]] = {}
    for commit, turn in sorted(scores):
        if scores[commit, turn] is not None:
            commits.setdefault(turn, []).append(commit)
    together: dict[tuple[int, ...], list[list[float]]] = {}
    for turn, those in commits.items():
        together.setdefault(tuple(those), []).append([float(scores[commit, turn] or 0.0) for commit in those])
    yield from (np.array(rows) for rows in together.values() if len(rows) > 1)
