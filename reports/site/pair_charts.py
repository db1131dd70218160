"""The forest plot of a comparison as charts, one per guarded metric."""

import math

from reports.document import Block, Bold, Chart, Charts, Heading, Inline, Paragraph
from reports.figures.changes import draw
from reports.figures.theme import MOST_ROWS
from reports.format import change
from reports.metrics import name, unit_of_change
from results import Comparison, ComparisonRow


def blocks(comparison: Comparison) -> list[Block]:
    """Return the section, empty if no guarded metric has a change."""
    rows = [row for row in comparison.rows if row.gate and not math.isnan(row.change)]
    charts = [
        _chart(comparison, [row for row in rows if row.metric == metric])
        for metric in comparison.margins.metrics
        if any(row.metric == metric for row in rows)
    ]
    if not charts:
        return []
    text = (
        "Change from base to head with its 90 % interval, the worst on top; the broad band is the margin. ▼ regressed, "
        "▲ improved, a full point ok, a hollow one inconclusive."
    )
    return [Heading("Forest plot"), Paragraph(text), Charts(charts, wide=True)]


def _chart(comparison: Comparison, rows: list[ComparisonRow]) -> Chart:
    rule = comparison.margins.metrics[rows[0].metric]
    rows = sorted(rows, key=lambda row: (rule.sign * row.change / row.margin, row.label, row.view))
    shown, metric, (_, unit) = rows[:MOST_ROWS], name(rows[0].metric), unit_of_change(rows[0])
    said = "; ".join(f"{row.label} {change(row, row.change)}, {row.verdict}" for row in shown)
    side = "left" if rule.better == "higher" else "right"
    cut = f"; {len(rows) - len(shown)} more in the table" if len(rows) > len(shown) else ""
    caption: list[Inline] = [Bold(f"{metric}{f', change in {unit}' if unit else ''}"), f": {side} of 0 is worse{cut}"]
    return Chart(draw(shown, f"Changes of {metric}: {said}."), caption)
