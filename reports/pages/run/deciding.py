"""What was asked of a run that decides, what it decided, what it left out and when; and the one-sided question."""

import math
from collections.abc import Mapping

from reports.document import Block, Bold, Field, Inline, Paragraph, Text
from reports.format import DASH, number, percent
from reports.pages.phrases import listed
from reports.summary import ALPHA, Cell, Summary
from results import Decision, counted
from results.statistics import sequential

_MOST = 6
"""Most cells that a sentence names with a number."""


def surely_not_best(summary: Summary) -> list[Block]:
    """Return which cells are surely not the best, and what taking the leader may lose, for a fixed number of seeds.

    Empty without an estimate of noise, or with one cell.
    """
    found, labels = summary.contenders, {cell.key: cell.label for cell in summary.measured}
    if len(labels) < 2 or math.isnan(found.at_most):
        return []
    level = f"{percent(ALPHA, 0)} %"
    if not found.out:
        none: list[Inline] = [Bold("Any cell may be the best:"), f" none is surely worse than another ({level})."]
        return [Paragraph(none, "unsure")]
    worse = [f"{labels[key]} ({_least(out)})" for key, out in sorted(found.out.items(), key=lambda one: -one[1])]
    words: list[Inline] = [Bold("Surely not the best:"), f" {listed(worse, _MOST)}. "]
    if len(found.left) == 1:
        words += [Bold(f"{labels[found.leader]} is the best"), f" (the chance that it is not: {level} at most)."]
        return [Paragraph(words, "good")]
    words += [f"May be the best: {listed([labels[key] for key in found.left])} (the chance that it is another: "]
    words += [f"{level} at most); taking {labels[found.leader]} loses {percent(found.at_most)} points at most."]
    return [Paragraph(words)]


def _least(difference: float) -> str:
    shown = percent(difference)
    return f"at least {shown} points worse" if float(shown) else "worse, maybe by less than 0.1 points"


def standing(decision: Decision, look: sequential.Look) -> list[Block]:
    """Return what a run that decides was asked, where it stands, and which cells it left out."""
    most = decision.plan.budget or len(decision.cells) * decision.plan.last
    spent = f"{look.trials} of at most {most} trials"
    said = _of_release(decision, look, spent) if decision.against else _of_cells(decision, look, spent)
    notes = [*_set_aside(decision, look), *_leaning(decision, look), *_speed(decision)]
    return [Paragraph(_asked(decision)), said, *notes]


def _asked(decision: Decision) -> str:
    plan = decision.plan
    margin = f"{percent(plan.margin, 2)} points"
    asked = {
        "best": f"which cell is best, or surely within {margin} of it",
        "groups": f"which cells differ, {margin} aside",
        "release": f"whether a cell has lost {margin} of mIoU against {decision.against}",
    }[plan.question]
    budget = f", {plan.budget} trials" if plan.budget else f", {plan.hours:g} device-hours" if plan.hours else ""
    return (
        f"Asked before the first trial: {asked}; {percent(plan.alpha, 0)} % chance of error over all looks, after "
        f"{plan.first} to {plan.last} seeds{budget}."
    )


_LIMITS = {
    None: "Not decided yet,", "limit": "Not decided at the limit of the seeds,",
    "budget": "Not decided within the budget,", "failed": "Nothing decided, because too many trials failed,",
}  # fmt: skip


def _of_cells(decision: Decision, look: sequential.Look, spent: str) -> Paragraph:
    labels, leader = decision.cells, decision.cells.get(look.leader, "")
    left = [labels[key] for key in (look.left or look.ok)]
    words: list[Inline] = [Bold(f"{_LIMITS.get(look.ended, 'Decided')} after {spent}:"), " "]
    if look.ended == "decided" and decision.plan.question == "best":
        near = f", or within {percent(look.at_most, 2)} points of it" if len(left) > 1 else ""
        words += [Bold(leader), f" is the best{near}. "]
    elif look.leader and math.isfinite(look.at_most):
        words += [f"taking {leader} loses {percent(look.at_most, 2)} points at most. "]
    words += [f"Remaining: {listed(left)}. "] if left else []
    if look.out:
        words += [f"Left out: {listed([_left_out(labels, key, look) for key in look.out])}. "]
    if look.apart:
        words += [f"Told apart: {listed([f'{labels[a]} and {labels[b]}' for a, b in look.apart], _MOST)}. "]
    words += ["Going on needs a new plan and new seeds."] if look.ended in ("limit", "budget") else []
    return Paragraph(words, "good" if look.ended == "decided" else "unsure")


def _left_out(labels: Mapping[str, str], key: str, look: sequential.Look) -> str:
    out = look.out[key]
    return f"{labels[key]} after {counted(out.seeds, 'seed')} ({_least(out.at_least)} than {labels[out.by]})"


def _of_release(decision: Decision, look: sequential.Look, spent: str) -> Paragraph:
    labels, margin = decision.cells, f"{percent(decision.plan.margin, 2)} points"
    if look.out:
        lost = [
            f"{labels[key]} lost at least {percent(out.at_least, 2)} points, found after {counted(out.seeds, 'seed')}"
            for key, out in look.out.items()
        ]
        return Paragraph(
            [Bold("Regressed:"), f" {listed(lost)}. After {spent}; the other cells were not run on."], "bad"
        )
    level = percent(decision.plan.alpha, 0)
    if look.ended == "decided":
        said = f" no cell lost {margin} of mIoU ({level} % chance of error a cell)."
        return Paragraph([Bold(f"Release ok after {spent}:"), said], "good")
    well, still = [labels[key] for key in look.ok], [labels[key] for key in look.left]
    return Paragraph(
        [
            Bold(f"{_LIMITS[look.ended]} after {spent}:"),
            f" surely ok {listed(well) or 'none'}; open {listed(still) or 'none'}.",
        ],
        "unsure",
    )


def _set_aside(decision: Decision, look: sequential.Look) -> list[Block]:
    if not look.failed:
        return []
    names = [f"{decision.cells[key]} after {counted(seeds, 'seed')}" for key, seeds in look.failed.items()]
    return [
        Paragraph([Bold("Set aside, too many trials failed:"), f" {listed(names)}. That says nothing of them."], "bad")
    ]


def _leaning(decision: Decision, look: sequential.Look) -> list[Block]:
    if decision.against or not look.out:
        return []
    return [Paragraph("Means of cells that were left out early lean low, and the leader's high: read the intervals.")]


def _speed(decision: Decision) -> list[Block]:
    """Return why speed is not judged against a release, unless it is judged beside the scores."""
    if not decision.against or decision.plan.metrics > 1:
        return []
    return [
        Paragraph(
            f"Speed is not judged: the trials of {decision.against} ran at another time, and the speed of a machine "
            "differs between hours. bench.versus runs both sides in turns, and judges it."
        )
    ]


def outcome(decision: Decision, look: sequential.Look, cell: Cell) -> list[Field | Text]:
    """Return the two fields of a cell in the table of results: what became of it, and its interval over all looks."""
    bounds, key = look.intervals.get(cell.key), cell.key
    if key in look.out:
        kind = f"{'regressed' if decision.against else 'out'} after {look.out[key].seeds}"
    elif key in look.ok:
        kind = f"{'ok' if decision.against else 'settled'} after {look.ok[key]}"
    else:
        kind = f"failed, {counted(look.failed[key], 'seed')}" if key in look.failed else "remains"
    if bounds is None or math.isnan(bounds.estimate) or math.isinf(bounds.high):
        return [kind, Field(DASH, math.nan)]
    if key == look.leader and not decision.against:
        return [kind, Field("the leader", 0.0)]
    sign = 1 if decision.against else -1
    low, high = sorted((sign * bounds.low, sign * bounds.high))
    shown = f"{number(100 * sign * bounds.estimate, 2)} ({number(100 * low, 2)} to {number(100 * high, 2)})"
    return [kind, Field(shown, sign * bounds.estimate)]


def heads(decision: Decision) -> list[str]:
    """Return the heads of the two fields of `outcome`."""
    return ["decision", f"points to {decision.against}" if decision.against else "points to the leader"]
