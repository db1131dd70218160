"""Changes of a metric from base to head, a row per cell: points with intervals and margins."""

import math
from collections.abc import Iterator, Sequence

from reports.figures.svg import Element, dot, line, make, picture, text, ticks
from reports.figures.theme import short
from reports.format import change, change_interval
from reports.metrics import unit_of_change
from results import ComparisonRow

WIDTH, ROW = 350.0, 22.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 158.0, 10.0, 6.0, 22.0
_SIGNS = {"regressed": ("▼", "bad"), "improved": ("▲", "good")}


def draw(rows: Sequence[ComparisonRow], description: str) -> Element:
    """Draw rows of one metric, which all have a change, from top to bottom."""
    factor, _ = unit_of_change(rows[0])
    height = _TOP + ROW * len(rows) + _BOTTOM
    ends = [v for row in rows for v in (row.change, row.low, row.high, row.margin, -row.margin) if not math.isnan(v)]
    low, high = factor * min(ends), factor * max(ends)
    span = 1.08 * (high - low)
    start = (low + high) / 2 - span / 2

    def x(value: float) -> float:
        return _LEFT + (factor * value - start) / span * (WIDTH - _LEFT - _RIGHT)

    drawing = picture(WIDTH, height, description)
    foot = height - _BOTTOM
    for tick in ticks(start, start + span):
        at = x(float(tick) / factor)
        drawing.append(line("grid", at, _TOP, at, foot))
        drawing.append(text(tick, at, height - 6, "middle"))
    drawing.append(line("zero", x(0), _TOP, x(0), foot))
    for index, row in enumerate(rows):
        y = _TOP + ROW * (index + 0.5)
        ends_of_margin, ends_of_interval = ([x(end) for end in pair] for pair in _ends(row))
        drawing.append(make("g", *_row(row, y, x(row.change), ends_of_margin, ends_of_interval)))
    return drawing


def _ends(row: ComparisonRow) -> tuple[tuple[float, float], tuple[float, ...]]:
    return (-row.margin, row.margin), () if math.isnan(row.low) else (row.low, row.high)


def _row(row: ComparisonRow, y: float, at: float, margin: Sequence[float], bar: Sequence[float]) -> Iterator[Element]:
    label = row.label if row.view in ("", "default") else f"{row.label} {row.view}"
    yield make("title", f"{label}: {change(row, row.change)}, 90 % interval {change_interval(row)}, {row.verdict}")
    yield text(short(label, 22), _LEFT - 8, y + 4, "end")
    yield line("margin", margin[0], y, margin[1], y)
    if bar:
        yield line("bar", bar[0], y, bar[1], y)
    if row.verdict in _SIGNS:
        sign, tone = _SIGNS[row.verdict]
        yield text(sign, at, y + 5, "middle", f"sign {tone}")
    else:
        yield dot("dot" if row.verdict == "ok" else "dot other", at, y)
