"""The figure of a study: every loss against a reference, on each data set."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import results
from reports.claims import LEVEL, lists, values
from reports.figures.theme import INK, SOFT, THEME, style
from results.statistics import between, rank


def losses_against(runs: Mapping[str, results.Run], reference: str) -> Figure | None:
    """Draw mIoU of each loss minus that of the reference, with 95 % intervals: a panel per part, rows by mean order.

    All panels have one scale. Returns None if no part has the reference.
    """
    found = {name: values(run, "miou") for name, run in runs.items()}
    found = {name: cells for name, cells in found.items() if reference in cells}
    if not found:
        return None
    labels = sorted(
        {label for cells in found.values() for label in cells} - {reference},
        key=lambda label: (
            -float(np.mean([_gap(cells, reference, label) for cells in found.values() if label in cells]))
        ),
    )
    with plt.rc_context(THEME):
        size = (2.4 + 3.0 * len(found), 1.4 + 0.42 * len(labels))
        drawn, panels = plt.subplots(1, len(found), figsize=size, sharex=True, sharey=True, squeeze=False)
        for axes, (name, cells) in zip(panels[0], found.items(), strict=True):
            _panel(axes, cells, labels, reference)
            dataset = next(one.record.dataset for one in runs[name].trials if one.record.dataset)
            axes.set_title(f"{dataset.name}, {len(dataset.class_names)} classes", loc="left")
        panels[0][0].set_yticks(range(len(labels)), labels)
        panels[0][0].set_ylim(len(labels) - 0.5, -0.5)
        drawn.supxlabel(f"mIoU less that of {reference}, points, with 95 % intervals", fontsize=13)
        drawn.tight_layout()
    return drawn


def _panel(axes: plt.Axes, cells: Mapping[str, Mapping[int, float]], labels: Sequence[str], reference: str) -> None:
    shared = rank(cells).pool
    axes.axvline(0, color=INK, lw=1.2)
    axes.axvspan(-0.5, 0.5, color=SOFT, alpha=0.18, lw=0)
    axes.grid(axis="x", color=SOFT, alpha=0.25)
    for row, label in enumerate(labels):
        if label not in cells:
            continue
        one = between(lists(cells), reference, label, shared, LEVEL)
        look = style(row)
        if not math.isnan(one.low):
            axes.plot([100 * one.low, 100 * one.high], [row, row], color=look["color"], lw=2.4)
        axes.plot([100 * one.estimate], [row], ms=8, lw=0, **look)


def _gap(cells: Mapping[str, Mapping[int, float]], reference: str, label: str) -> float:
    return float(np.mean([*cells[label].values()]) - np.mean([*cells[reference].values()]))
