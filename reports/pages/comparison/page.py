"""The whole page of a comparison, and its forest plot."""

import math
from collections.abc import Callable

import results
from reports.document import Block, Code, Document, Figure, Heading, Inline, Items, Paragraph
from reports.format import change
from reports.metrics import name
from reports.pages.comparison.sentences import rules, verdict
from reports.pages.comparison.tables import environment, table


def document(
    comparison: results.Comparison,
    figures: bool = True,
    drawn: Callable[[results.Comparison], list[Block]] | None = None,
) -> Document:
    """Return the whole page; `figures=False` leaves the forest plot out, `drawn` draws it in another way."""
    base, head = comparison.base, comparison.head
    blocks: list[Block] = [Heading("Verdict"), *verdict(comparison)]
    guarded = [row for row in comparison.rows if row.gate]
    blocks += [Heading("Guarded"), Paragraph(rules(comparison)), table(guarded)]
    if figures:
        blocks += (drawn or forest)(comparison)
    blocks += _watched(comparison)
    if comparison.gaps:
        blocks += [Heading("Gaps"), Items([*comparison.gaps])]
    if comparison.added:
        blocks += [Heading("Only in head"), Paragraph(f"Nothing to compare with: {', '.join(comparison.added)}.")]
    blocks += [Heading("What differs"), *environment(comparison)]
    return Document(f"{base.name} → {head.name}", blocks)


def _watched(comparison: results.Comparison) -> list[Block]:
    """Return the rows that cannot fail the gate; those that are ok are only counted."""
    watched = [row for row in comparison.rows if not row.gate]
    if not watched:
        return []
    counts = ", ".join(f"{n} {verdict}" for verdict, n in comparison.count(gate=False).items())
    note: list[Inline] = [
        "Reported only; a regression here does not fail the comparison (",
        Code("gate: true"),
        f" in the margins makes it fail): {counts}.",
    ]
    return [Heading("Watched"), Paragraph(note), table([row for row in watched if row.verdict != "ok"] or watched)]


def forest(comparison: results.Comparison) -> list[Block]:
    """Return the changes of the guarded metrics with their intervals and margins, a panel per metric."""
    from reports.figures.drawing import forest as draw  # imports matplotlib, which terminal tables do not need

    png = draw(comparison)
    if png is None:
        return []
    judged = [row for row in comparison.rows if row.gate and not math.isnan(row.change)]
    metrics = comparison.margins.metrics
    worst = min(judged, key=lambda row: metrics[row.metric].sign * row.change / row.margin)
    alt = (
        f"Forest plot of {len(judged)} changes from {comparison.base.name} to {comparison.head.name}, 90 % intervals; "
        f"the lowest against its margin is {worst.label}, {name(worst.metric)} {change(worst, worst.change)}."
    )
    less = sorted({name(row.metric) for row in judged if metrics[row.metric].better == "lower"})
    side = f"Left of it is worse; right of it for {', '.join(less)}." if less else "Left of it is worse."
    caption = f"Change from base to head with its 90 % interval; the shaded band is the margin. {side}"
    return [Heading("Forest plot"), Figure("forest.png", png, alt, caption)]
