"""Time to accuracy: how long each cell trains to its target, and which of its seeds never reached it."""

import math

from reports.document import Block, Field, Heading, Paragraph, Table, Text
from reports.format import DASH, number, significant
from reports.summary import Cell, Summary
from reports.targets import CellTarget
from results.statistics import TimeToTarget

_HOW = (
    "Median over the seeds to the first evaluation that reaches the target, with a 95 % interval. A seed that ended "
    "without it counts as longer than its training (Kaplan-Meier), so the median is unknown if half of the seeds did "
    "not reach it. Training and CPU seconds are without compiling and evaluation; they compare as images/s do. After "
    "AlgoPerf (Dahl et al. 2023, arXiv 2306.07179) and MLPerf (Mattson et al. 2020, arXiv 1910.01500)."
)


def section(summary: Summary) -> list[Block]:
    """Return the table of times to the target, fastest cell first; empty if no cell has a target."""
    if not summary.targets:
        return []
    parts = summary.parts or {"": summary}
    blocks: list[Block] = [Heading("Time to accuracy")]
    for name, part in parts.items():
        cells = [cell for cell in part.cells if cell.key in summary.targets]
        cells.sort(key=lambda cell: _order(summary.targets[cell.key].steps))
        if cells:
            blocks += [Heading(name, level=3)] if name else []
            blocks.append(_table(cells, summary.targets))
    return [*blocks, Paragraph(_HOW)]


def _order(found: TimeToTarget) -> tuple[float, int]:
    return found.median, -found.reached


def _table(cells: list[Cell], targets: dict[str, CellTarget]) -> Table:
    rows: list[list[Field | Text]] = []
    for cell in cells:
        own = targets[cell.key]
        row: list[Field | Text] = [cell.label, own.name, f"{own.steps.reached}/{own.steps.seeds}"]
        rows.append([*row, *(field_of(one) for one in (own.steps, own.seconds, own.cpu_seconds))])
    head = ["cell", "target", "reached", "steps", "training, s", "CPU, s"]
    return Table(head, rows, frozenset({"cell", "target"}), cells=tuple(cell.key for cell in cells))


def field_of(found: TimeToTarget) -> Field:
    """Return a median time as a field; one that is not known is sorted behind all others."""
    return Field(in_words(found), found.median if math.isfinite(found.median) else math.nan)


def in_words(found: TimeToTarget) -> str:
    """Return a median time with its interval, such as `160 (120 to 200)`, or that the target was not reached."""
    if math.isnan(found.median):
        return DASH
    if math.isinf(found.median):
        return "not reached"
    if math.isnan(found.low) or found.low == found.high:
        return _time(found.median)
    end = "or more" if math.isinf(found.high) else f"to {_time(found.high)}"
    return f"{_time(found.median)} ({_time(found.low)} {end})"


def _time(value: float) -> str:
    """Return steps or seconds without decimals from 100 on, below with two digits that count."""
    return number(value, 0) if value >= 100 or value == round(value) else significant(value)
