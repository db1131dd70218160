"""The answer of a search, as plain data and in words."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bench.bisection.measures import Measure
from bench.revisions import Commit
from results import counted
from results.statistics import Effect, Search, SearchStep


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NamedCommit(_Part):
    """A commit of the answer; `number` counts from GOOD, which is 0."""

    number: int
    commit: str
    subject: str
    author_date: str


class Worse(_Part):
    """How much worse the metric got across the answer: a share of GOOD for ratios, else in the metric's unit.

    `low` and `high` are a 95 % interval; null if the turns do not allow one.
    """

    estimate: float | None
    low: float | None
    high: float | None


class Told(_Part):
    """One step of the search: the commit, its verdict, its turns, and the one-sided chance of error spent on it."""

    number: int
    verdict: str
    turns: int
    level: float


class Answer(_Part):
    """What a search says.

    Attributes:
        outcome: "none", "found" (the first bad commit is one of `commits`), "undecided" or "failed".
        commits: in the order of history; more than one is a range.
        worse: across the commits; for "none" and "undecided", of BAD against GOOD.
        trials: trials run, those included that were given up.
        error_chance: greatest chance that the answer is wrong.
        steps: of the search.
        text: all of it in words.
    """

    outcome: Literal["none", "found", "undecided", "failed"]
    commits: tuple[NamedCommit, ...] = ()
    worse: Worse | None = None
    trials: int
    error_chance: float
    steps: tuple[Told, ...]
    text: str


def conclude(
    search: Search, line: tuple[Commit, ...], measure: Measure, effect: Effect, trials: int, alpha: float, ended: str
) -> Answer:
    """Make the answer of a search that has ended, or that a budget ends.

    Args:
        search: where it stands.
        line: all commits, GOOD first.
        measure: the metric.
        effect: across the answer, as scores.
        trials: trials run.
        alpha: chance of a wrong answer.
        ended: what ended the search: a budget, or why GOOD or BAD gives no value; empty if it ended by itself.
    """
    found = tuple(_named(number, line) for number in range(search.good + 1, search.bad + 1)) if search.differs else ()
    outcome: Literal["none", "found", "undecided", "failed"] = (
        "failed" if search.outcome == "failed" else "found" if found else "undecided"
    )
    if search.outcome == "none":
        outcome = "none"
    known = not math.isnan(effect.estimate)
    worse = Worse(**{name: _plain(measure, getattr(effect, name)) for name in ("estimate", "low", "high")})
    text = _text(outcome, search, found, measure, effect, ended)
    return Answer(
        outcome=outcome, commits=found if outcome == "found" else (), worse=worse if known else None, trials=trials,
        error_chance=alpha, text=f"{text} Trials: {trials}. The chance of a wrong answer is at most {100 * alpha:g} %.",
        steps=tuple(Told(number=s.commit, verdict=s.verdict, turns=s.turns, level=s.level) for s in search.steps),
    )  # fmt: skip


def _plain(measure: Measure, score: float) -> float | None:
    return None if math.isnan(score) else measure.plain(score)


def _named(number: int, line: tuple[Commit, ...]) -> NamedCommit:
    one = line[number]
    return NamedCommit(number=number, commit=one.commit, subject=one.subject, author_date=one.author_date)


def _text(
    outcome: str, search: Search, found: tuple[NamedCommit, ...], measure: Measure, effect: Effect, ended: str
) -> str:
    size = f"{measure.words(effect.estimate)} (95 % interval {measure.interval(effect.low, effect.high)})"
    if outcome == "none":
        return f"None: BAD is not worse than GOOD in {measure.name} by a margin that matters; it is worse by {size}."
    if outcome == "failed":
        return f"Failed: {'BAD' if search.steps[-1].commit else 'GOOD'} gives no {measure.name}: {ended}."
    if outcome == "undecided":
        return f"Undecided: {ended or 'the turns cannot tell'} whether BAD is worse; it is worse by {size}."
    if len(found) == 1:
        one = found[0]
        where = f'{one.commit[:12]} "{one.subject}" ({one.author_date})'
    else:
        where = f"one of {len(found)} commits, {found[0].commit[:12]} to {found[-1].commit[:12]}{_why(search, ended)},"
    return f"Found: {where} made {measure.name} worse by {size}."


def _why(search: Search, ended: str) -> str:
    """Return why an answer is a range."""
    skipped, between = len(search.skipped), len(search.between)
    reasons = [f"{skipped} could not be measured"] * bool(skipped)
    reasons += [f"{between} could not be told apart from the middle"] * bool(between) + [ended] * bool(ended)
    return f" ({'; '.join(reasons)})" if reasons else ""


def step_words(step: SearchStep, measure: Measure, last: int) -> str:
    """Return the verdict of a step in words.

    Args:
        step: of a search.
        measure: the metric.
        last: number of BAD.
    """
    after = f"after {counted(step.turns, 'turn')}"
    size = measure.words(step.estimate)
    between = f"worse than GOOD by {size} ({measure.interval(step.low, step.high)})"
    if step.verdict in ("worse", "none", "undecided") and step.commit == last:
        said = {"worse": "worse", "none": "not worse", "undecided": "undecided"}[step.verdict]
        return f"{said}, {after}: {between}"
    said = {
        "good": "as good as GOOD", "bad": "as bad as BAD", "between": "between GOOD and BAD",
        "skipped": "skipped, it gives no values", "failed": "it gives no values",
    }.get(step.verdict, step.verdict)  # fmt: skip
    return said if step.verdict in ("skipped", "failed") else f"{said}, {after}: {between}"
