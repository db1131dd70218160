"""The table of results: a row per cell from best to worst, how to read it, and whether speeds can be compared."""

import math

from reports.document import Block, Field, Heading, Link, Paragraph, Table, Text, Tone
from reports.format import DASH, chance, estimate, number, percent, significant
from reports.pages.phrases import listed, ok_first
from reports.summary import Cell, Summary


def table(summary: Summary) -> list[Block]:
    """Return the table of results and how to read it; with several data sets, one table per data set."""
    if summary.parts:
        return [block for name, part in summary.parts.items() for block in (Heading(name, level=3), *table(part))]
    chosen = "best" in summary.weights  # otherwise the scored weights are not those of the best epoch
    scaled = len({cell.gradient for cell in summary.measured if not math.isnan(cell.gradient[0])}) > 1
    head = ["cell", "mIoU, %", "group", "P(best)", "seeds", "images/s", "input share, %"]
    head += [*(["best epoch"] if chosen else []), "training, s", *(["gradient"] if scaled else []), "trials"]
    rows = [_row(summary, cell, chosen, scaled) for cell in summary.cells]
    return [Table(head, rows, frozenset({"cell", "group", "trials"})), Paragraph(_how(summary, scaled))]


def _row(summary: Summary, cell: Cell, chosen: bool, scaled: bool) -> list[Field | Text]:
    status = ", ".join(f"{n} {name}" for name, n in sorted(cell.statuses.items(), key=ok_first)) or "missing"
    tone: Tone = "" if set(cell.statuses) == {"ok"} else "bad"
    return [
        Field(Link(cell.label, f"#cell-{cell.key}"), None),
        Field(estimate(cell.interval), cell.interval.mean),
        summary.ranking.groups.get(cell.key, DASH),
        Field(chance(cell.chance), cell.chance),
        f"{len(cell.miou)}/{cell.planned}",
        Field(number(cell.images_per_second, 1), cell.images_per_second),
        percent(cell.input_share, 0),
        *([number(cell.best_epoch, 1)] if chosen else []),
        number(cell.train_s, 0),
        *([Field(" → ".join(map(significant, cell.gradient)), cell.gradient[0])] if scaled else []),
        Field(status, None, tone),
    ]


def _how(summary: Summary, scaled: bool) -> str:
    """Return how to read the table of results."""
    note = "Cells that share a letter cannot be told apart (all pairs, Holm, 5 %)."
    methods = {cell.interval.method for cell in summary.measured}
    if methods & {"pooled", "own"}:
        note = f"mIoU: mean ± 95 % interval on the validation split, noise shared by the cells. {note}"
    elif methods:
        note = f"No intervals: no cell has seeds that differ. {note}"
    note += " P(best): chance of the highest true mIoU under flat priors."
    own = [cell.label for cell in summary.measured if cell.interval.method == "own"]
    if own:
        note += f" Noisier than the rest, so with its own interval: {listed(own)}."
    constant = [cell.label for cell in summary.measured if cell.interval.method == "constant"]
    if constant:
        note += f" Equal over all seeds, which hints at a collapse and gives no interval: {listed(constant)}."
    if scaled:
        note += (
            " Gradient: its norm at the logits relative to cross-entropy, before training → once all is right by a "
            "margin of 3. Cells of other scales also train at another rate."
        )
    return note


def throughput(summary: Summary) -> list[Block]:
    """Return why images/s leave trials out, or cannot be compared at all; empty if they can."""
    if not summary.incomparable:
        return []
    reasons = "; ".join(summary.incomparable)
    trials = summary.trials["trial"].nunique()
    if summary.timed:
        return [Paragraph(f"Images/s leave out {summary.untimed} of {trials} trials: {reasons}.")]
    return [Paragraph(f"Images/s cannot be compared between these trials: {reasons}.", "unsure")]
