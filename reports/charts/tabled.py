"""Heat maps of a report: IoU by class, and the confusion of the best cell."""

from collections.abc import Mapping

import numpy as np

import results
from reports.charts.grids import Line, draw
from reports.charts.ranked import NUMBERS, cut, field
from reports.document import Field, Key, Plot, Table, Text
from reports.figures.scores import by_class, confused
from reports.summary import Summary

Keys = Mapping[str, Key]


def classes(run: results.Run, summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw IoU per cell and class, and per view if there is room."""
    found = by_class(run, summary)
    if found is None:
        return None
    values = found.iou.to_numpy(float)
    names = [
        label if view == "default" else f"{label}, {view}"
        for label, (_, view) in zip(found.labels, found.iou.index, strict=True)
    ]
    cells = [str(cell) for cell, _ in found.iou.index]
    lines = [Line(name, [*row], keys[cell]) for name, row, cell in zip(names, values, cells, strict=True)]
    table: list[list[Field | Text]] = [
        [name, *(field(float(value), 1) for value in row)] for name, row in zip(names, values, strict=True)
    ]
    head = ["cell", *(f"{name}, %" for name in found.classes)]
    title = found.title[:1].upper() + found.title[1:] + "." if found.title else ""
    notes = (title,) if title else cut(len(summary.measured), len({*cells}))
    return Plot(
        draw(lines, found.classes, alt), Table(head, table, frozenset({"cell"}), NUMBERS, tuple(cells)), notes=notes
    )


def confusion(run: results.Run, summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw the confusion matrix of the best cell over all of its seeds."""
    found = confused(run, summary)
    if found is None:
        return None
    share, names = found
    lines = [Line(name, [*row]) for name, row in zip(names, share, strict=True)]
    table: list[list[Field | Text]] = [
        [name, *(field(float(value), 1) for value in row)] for name, row in zip(names, np.asarray(share), strict=True)
    ]
    head = ["truth", *(f"predicted {name}, %" for name in names)]
    best = keys[summary.measured[0].key].label
    svg = draw(lines, names, alt, "truth ↓  predicted →")
    return Plot(svg, Table(head, table, frozenset({"truth"}), NUMBERS), notes=(f"The best cell is {best}.",))
