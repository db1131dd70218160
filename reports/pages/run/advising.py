"""The advice of a report in words: how far the budget carries, which of the equals to take, how a view does."""

import math

import results
from reports.advice import Budget, JudgedView, budget, choice, constant
from reports.document import Block, Bold, Paragraph, Text
from reports.format import number, percent, points, points_range
from reports.pages.phrases import listed
from reports.summary import Summary
from results import counted


def carries(run: results.Run, summary: Summary) -> list[Block]:
    """Return which cells are no better than a constant, how much was trained, and whether curves still rise.

    Empty if no record tells it.
    """
    found = budget(run, summary)
    words: list[Block] = [] if found is None else [Paragraph([Bold("Budget:"), f" {budget_words(found)}"])]
    return [*_no_better_than_a_constant(run, summary), *words]


def _no_better_than_a_constant(run: results.Run, summary: Summary) -> list[Block]:
    found = constant(run, summary)
    if found is None or not found.not_above:
        return []
    score = f"{percent(found.miou)} %, the mIoU of predicting {found.class_name} everywhere"
    if len(found.not_above) == len(summary.measured):
        return [Paragraph([Bold("No cell is better than a constant:"), f" none is above {score}."], "bad")]
    return [
        Paragraph([Bold("No better than a constant:"), f" not above {score}: {listed(found.not_above)}."], "unsure")
    ]


def budget_words(found: Budget) -> str:
    """Return how much was trained, and whether the curves still rise, in one sentence."""
    steps, epochs = (" to ".join(map(str, dict.fromkeys((all_[0], all_[-1])))) for all_ in (found.steps, found.epochs))
    size = f"{steps} steps ({epochs} {'epoch' if found.epochs == (1,) else 'epochs'})"
    if not found.judged:
        return f"{size}; the course of one epoch cannot be judged."
    if not found.rising:
        return f"{size}; no curve still rises at the end by more than the noise."
    then = "more steps may change the order" if found.judged > 1 else "more steps may give more"
    return f"{size}; {_rising(found)} at the end, so {then}.{_held(found)}"


def _held(found: Budget) -> str:
    """Return what became of the verdicts of trainings of about that length, with a space before; empty if unknown."""
    past = results.precedents(found.steps[0]) if found.judged > 1 and len(found.steps) == 1 else []
    if not past:
        return ""
    verdicts, held, turned = (sum(getattr(one, name) for one in past) for name in ("verdicts", "held", "turned"))
    of = listed([f"{one.dataset} ({one.steps} of {one.converged} steps)" for one in past])
    if not verdicts:
        return f" After about as many, no two losses were told apart on {of}: docs/budget.md."
    return (
        f" After about as many, {held} of {counted(verdicts, 'verdict')} on losses held to convergence on {of};"
        f" {turned} turned round (docs/budget.md)."
    )


def _rising(found: Budget) -> str:
    rise = len(found.rising)
    if rise < found.judged:
        few = len(found.settled) <= 2 < rise
        which = f"all but {listed(found.settled)}" if few else listed(found.rising, most=4)
        return f"{rise} of {counted(found.judged, 'curve')} still {'rises' if rise == 1 else 'rise'} ({which})"
    return {1: "the curve still rises", 2: "both curves still rise"}.get(rise, f"all {rise} curves still rise")


def advice(summary: Summary) -> list[Block]:
    """Return which of the equals to take, and at what price; empty if nothing speaks for another than the best."""
    found = choice(summary)
    if found is None:
        return []
    best, name = summary.measured[0].label, found.cell.label
    price = f"unless {percent(found.behind)} points (at most {percent(found.most)}) matter."
    faster = f", which trains {number(found.factor, 1)} times faster, {price}"
    return [
        Paragraph([Bold("Recommendation:"), f" {name} and {best} are indistinguishable: take ", Bold(name), faster])
    ]


def of_view(one: JudgedView) -> Text:
    """Return what a view gains over the weights as trained, whether by more than the noise, and its pace."""
    ends = "" if math.isnan(one.gain.low) else f" ({points_range(one.gain.low, one.gain.high)})"
    words = {True: "better by more than the noise", False: "worse by more than the noise", None: "indistinguishable"}
    pace = "" if math.isnan(one.pace) else f", at {number(one.pace, 2)} times the speed"
    return [Bold(one.name), f": {points(one.gain.estimate)} points{ends}, {words[one.better]}{pace}"]
