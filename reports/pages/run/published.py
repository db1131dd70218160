"""What earlier projects would have published for the same weights, beside the true mIoU."""

import math

import numpy as np

import results
from reports.document import Block, Field, Heading, Paragraph, Table, Text
from reports.format import percent
from reports.summary import Summary

_NAMES = {"soft_iou": "soft IoU, %", "class_recall": "class recall, %", "soft_dice": "soft Dice, %"}
_NOTE = (
    "Numbers that earlier projects called IoU, computed as they did, on the same weights; in brackets the rank of "
    "the cell by each."
)


def section(run: results.Run, summary: Summary) -> list[Block]:
    """Return the section on what others published as IoU, each number with the rank that it would give the cell.

    It is empty if no trial has such numbers.
    """
    tables = _tables(summary, _values(run))
    return [Heading("As others published it"), Paragraph(_NOTE), *tables] if tables else []


def _values(run: results.Run) -> dict[str, dict[str, list[float]]]:
    """Return {cell: {name of the number: values of the seeds}} on the validation split, as trained."""
    values: dict[str, dict[str, list[float]]] = {}
    for record in (stored.record for stored in run.trials if stored.record.status == "ok"):
        for view in record.views:
            if view.published and (view.view, view.split) == ("default", "val"):
                for name in _NAMES:
                    if (value := getattr(view.published, name)) is not None:
                        values.setdefault(record.cell, {}).setdefault(name, []).append(value)
    return values


def _tables(summary: Summary, values: dict[str, dict[str, list[float]]]) -> list[Block]:
    """Return the table, or, with several data sets, a heading and a table per data set that has values."""
    if summary.parts:
        parts = {name: _tables(part, values) for name, part in summary.parts.items()}
        return [block for name, tables in parts.items() if tables for block in (Heading(name, level=3), *tables)]
    cells = [cell for cell in summary.measured if cell.key in values]
    if not cells:
        return []
    columns = {"mIoU, %": [cell.interval.mean for cell in cells]}
    columns |= {
        title: [float(np.mean(values[cell.key].get(name, [math.nan]))) for cell in cells]
        for name, title in _NAMES.items()
    }
    rows: list[list[Field | Text]] = [
        [cell.label, *(_placed(column[row], column) for column in columns.values())] for row, cell in enumerate(cells)
    ]
    return [Table(["cell", *columns], rows, frozenset({"cell"}), cells=tuple(cell.key for cell in cells))]


def _placed(value: float, column: list[float]) -> Field:
    """Return a value with its rank in its column, 1 for the highest."""
    return Field(f"{percent(value)} ({1 + sum(other > value for other in column)})", value)
