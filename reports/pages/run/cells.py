"""The table of results: a row per cell from best to worst, how to read it, and whether speeds can be compared."""

import math

from reports.document import Block, Field, Heading, Link, Paragraph, Table, Text, Tone
from reports.format import DASH, estimate, number, percent, significant
from reports.pages.phrases import listed, no_spread, ok_first
from reports.pages.run import deciding
from reports.pages.run.targets import field_of
from reports.summary import Cell, Summary

_WEIGHTS = {
    "averaged": "averaged weights",
    "best": "the weights that the validation split chose",
    "last": "the weights of the last step",
}

_COST = ["parameters, M", "GFLOP"]


def table(summary: Summary) -> list[Block]:
    """Return the table of results, how to read it, and further columns; with several data sets, one of each per set."""
    if summary.parts:
        return [block for name, part in summary.parts.items() for block in (Heading(name, level=3), *table(part))]
    tested, evaluated = bool(summary.test), any(cell.eval_images_per_second > 0 for cell in summary.cells)
    fate = deciding.heads(summary.decision) if summary.decision else ["group"]
    head = ["cell", "mIoU, %", *(["test mIoU, %"] if tested else []), *fate, "seeds", "images/s"]
    head += [*(["evaluation images/s"] if evaluated else []), *_aimed(summary)]
    head += [*(_COST if _costs_differ(summary) else []), "training, s", "trials"]
    rows = [_row(summary, cell, tested, evaluated) for cell in summary.cells]
    words = frozenset({"cell", "group", "decision", "trials"})
    cells = tuple(cell.key for cell in summary.cells)
    below = [Paragraph(_how(summary)), *_shared_cost(summary), *_tested(summary), *_further(summary)]
    return [Table(head, rows, words, cells=cells), *below]


def _row(summary: Summary, cell: Cell, tested: bool, evaluated: bool) -> list[Field | Text]:
    status = ", ".join(f"{n} {name}" for name, n in sorted(cell.statuses.items(), key=ok_first)) or "missing"
    tone: Tone = "" if set(cell.statuses) == {"ok"} else "bad"
    return [
        Field(Link(cell.label, f"#cell-{cell.key}"), None),
        Field(_miou(summary, cell), cell.interval.mean),
        *([_on_test(summary, cell)] if tested else []),
        *_fate(summary, cell),
        f"{len(cell.miou)}/{cell.planned}",
        Field(number(cell.images_per_second, 1), cell.images_per_second),
        *([Field(number(cell.eval_images_per_second, 1), cell.eval_images_per_second)] if evaluated else []),
        *([_to_target(summary, cell)] if _aimed(summary) else []),
        *(_cost(cell) if _costs_differ(summary) else []),
        number(cell.train_s, 0),
        Field(status, None, tone),
    ]


def _aimed(summary: Summary) -> list[str]:
    """Return the heading of the time to the target, if any cell has one."""
    names = {summary.targets[cell.key].name for cell in summary.cells if cell.key in summary.targets}
    return [f"steps to {names.pop() if len(names) == 1 else 'the target'}"] if names else []


def _to_target(summary: Summary, cell: Cell) -> Field:
    own = summary.targets.get(cell.key)
    return field_of(own.steps) if own else Field(DASH, math.nan)


def _costs(summary: Summary) -> set[tuple[float, float]]:
    found = {(cell.parameters, cell.forward_gflop) for cell in summary.cells}
    return {one for one in found if not any(map(math.isnan, one))}


def _costs_differ(summary: Summary) -> bool:
    return len(_costs(summary)) > 1


def _cost(cell: Cell) -> list[Field | Text]:
    return [
        Field(number(cell.parameters / 1e6, 2), cell.parameters),
        Field(number(cell.forward_gflop, 2), cell.forward_gflop),
    ]


def _shared_cost(summary: Summary) -> list[Block]:
    """Return the cost of the model that all cells share; empty if they differ, or if no record tells it."""
    found = _costs(summary)
    if len(found) != 1:
        return [Paragraph("GFLOP: forward pass of one training image.")] if found else []
    ((parameters, gflop),) = found
    words = f"Every model has {number(parameters / 1e6, 2)} M parameters and takes {number(gflop, 2)} GFLOP"
    return [Paragraph(f"{words} for the forward pass of one training image.")]


def _miou(summary: Summary, cell: Cell) -> str:
    """Return the mean, with its interval if the number of seeds was fixed."""
    return percent(cell.interval.mean, 2) if summary.look else estimate(cell.interval)


def _fate(summary: Summary, cell: Cell) -> list[Field | Text]:
    """Return the letters of a cell, or what a run that decides made of it."""
    if summary.decision and summary.look:
        return deciding.outcome(summary.decision, summary.look, cell)
    return [summary.ranking.groups.get(cell.key, DASH)]


def _on_test(summary: Summary, cell: Cell) -> Field:
    interval = summary.test.get(cell.key)
    return Field(estimate(interval), interval.mean) if interval else Field(DASH, math.nan)


def _tested(summary: Summary) -> list[Block]:
    """Return which weights the test split scored, and whether its order is that of validation; empty without one."""
    both = [cell for cell in summary.measured if cell.key in summary.test]
    if not both:
        return []
    words = f"Test: evaluated once, with {' or '.join(_WEIGHTS[kind] for kind in summary.weights)}."
    if len(both) > 1:
        best = max(both, key=lambda cell: summary.test[cell.key].mean)
        words += f" {best.label} is best there" + (", too." if best is both[0] else f", {both[0].label} on validation.")
    return [Paragraph(words)]


def _further(summary: Summary) -> list[Block]:
    """Return columns that few readers need, folded: waiting for input, the gradient."""
    if not summary.measured:
        return []
    chosen = "best" in summary.weights  # otherwise the scored weights are not those of the best epoch
    scaled = len({cell.gradient for cell in summary.measured if not math.isnan(cell.gradient[0])}) > 1
    head = ["cell", "input share, %", *(["best epoch"] if chosen else []), *(["gradient"] if scaled else [])]
    rows: list[list[Field | Text]] = [
        [
            cell.label,
            percent(cell.input_share, 0),
            *([number(cell.best_epoch, 1)] if chosen else []),
            *([Field(" → ".join(map(significant, cell.gradient)), cell.gradient[0])] if scaled else []),
        ]
        for cell in summary.measured
    ]
    note = "Input share: part of a step that waits for input."
    if scaled:
        note += (
            " Gradient: its size relative to cross-entropy, at the start → when every pixel is right by a margin of 3 "
            "logits. A loss with a smaller gradient effectively trains at a smaller learning rate."
        )
    cells = tuple(cell.key for cell in summary.measured)
    return [Table(head, rows, frozenset({"cell"}), "Further columns", cells), Paragraph(note)]


def _how(summary: Summary) -> str:
    """Return how to read the table of results."""
    if summary.look:
        return "The intervals hold over all looks together; mIoU is the mean on the validation split."
    note = "Cells that share a letter are indistinguishable (all pairs, Holm, 5 %)."
    if summary.measured and not summary.ranking.groups:
        note = "So many cells have no letters."
    methods = {cell.interval.method for cell in summary.measured}
    if methods & {"pooled", "own"}:
        note = f"mIoU: mean ± 95 % interval on the {summary.judged_on} split, noise shared by the cells. {note}"
    elif methods:
        note = f"No intervals: {no_spread(summary.seeds)}. {note}"
    own = [cell.label for cell in summary.measured if cell.interval.method == "own"]
    if own:
        note += f" Noisier than the others, each with its own interval: {listed(own)}."
    constant = [cell.label for cell in summary.measured if cell.interval.method == "constant"]
    if constant:
        note += f" Equal over all seeds, which hints at a collapse and gives no interval: {listed(constant)}."
    return note


def throughput(summary: Summary, with_evaluation: bool = False) -> list[Block]:
    """Return why images/s leave trials out, or cannot be compared at all; empty if they can.

    Args:
        with_evaluation: whether the page shows evaluation images/s, too, which are left out or shown alike.
    """
    if not summary.incomparable:
        return []
    reasons = "; ".join(summary.incomparable)
    trials = summary.trials["trial"].nunique()
    if summary.timed:
        return [Paragraph(f"Images/s leave out {summary.untimed} of {trials} trials: {reasons}.")]
    shown = with_evaluation and any(cell.eval_images_per_second > 0 for cell in summary.cells)
    more = " Neither can evaluation images/s." if shown else ""
    return [Paragraph(f"Images/s cannot be compared between these trials: {reasons}.{more}", "unsure")]
