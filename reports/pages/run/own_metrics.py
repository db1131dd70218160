"""Metrics of the user's own, per cell: their means over the seeds, on the split that judges the cells."""

import numpy as np

import results
from reports.document import Block, Field, Heading, Paragraph, Table, Text
from reports.format import DASH, significant
from reports.summary import Summary

_NOTE = (
    "Functions of the confusion matrix that the grid names; means over the seeds, of the weights as they were trained."
)


def section(run: results.Run, summary: Summary) -> list[Block]:
    """Return the section on the user's own metrics; empty if no trial has one."""
    values: dict[str, dict[str, list[float]]] = {}
    for record in (stored.record for stored in run.trials if stored.record.status == "ok"):
        for view in record.views:
            if (view.view, view.split) == ("default", summary.split):
                for name, value in view.own.items():
                    if value is not None:
                        values.setdefault(name, {}).setdefault(record.cell, []).append(value)
    cells = [cell for cell in summary.measured if any(cell.key in found for found in values.values())]
    if not cells:
        return []
    means = {name: {key: float(np.mean(found)) for key, found in of_cell.items()} for name, of_cell in values.items()}
    rows: list[list[Field | Text]] = [
        [
            cell.label,
            *(
                Field(significant(mean[cell.key], 4), mean[cell.key]) if cell.key in mean else DASH
                for mean in means.values()
            ),
        ]
        for cell in cells
    ]
    table = Table(["cell", *means], rows, frozenset({"cell"}), cells=tuple(cell.key for cell in cells))
    return [Heading("Metrics of your own"), Paragraph(_NOTE), table]
