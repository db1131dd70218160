"""The figure of times to a target: which share of the seeds of a cell has reached it after how many steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from reports.figures.theme import legend, say_cut, short, styles
from reports.summary import Cell, Summary
from results.statistics import Time, shares

MOST_CURVES = 10


def fastest(summary: Summary) -> list[Cell]:
    """Return the cells that have a target, the one that reached it soonest first."""
    cells = [cell for cell in summary.cells if cell.key in summary.targets]
    return sorted(cells, key=lambda cell: summary.targets[cell.key].steps.median)


@dataclass(frozen=True)
class Stairs:
    """The share of the seeds of a cell that has reached the target, in percent, over steps.

    Attributes:
        rises: (step, share from there on), without the start.
        ends: (step, share) where a seed ended without the target.
    """

    rises: list[tuple[float, float]]
    ends: list[tuple[float, float]]

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Return (step, share from there on) from the start to the last seed."""
        return sorted([(0.0, 0.0), *self.rises, *self.ends])


def stairs(times: Sequence[Time]) -> Stairs:
    """Return the share of the seeds that has reached the target over time."""
    rises = [(at, 100 * share) for at, share in zip(*(found.tolist() for found in shares(times)), strict=True)]
    ends = sorted(time.value for time in times if not time.reached and time.value < float("inf"))
    return Stairs(rises, [(end, max((share for at, share in rises if at <= end), default=0.0)) for end in ends])


def reached(summary: Summary) -> Figure | None:
    """Draw a rising step per cell; a cross at its end says that seeds ended there without the target."""
    cells = [cell for cell in summary.cells if cell.key in summary.targets]
    if not cells:
        return None
    shown = fastest(summary)[:MOST_CURVES]
    looks = styles(cell.label for cell in summary.cells)
    figure, axes = plt.subplots(figsize=(9.5, 4.6))
    for cell in shown:
        times = summary.targets[cell.key].each
        color = looks[cell.label]["color"]
        found = stairs(times)
        axes.step(*zip(*found.corners, strict=True), where="post", lw=2.2, color=color, label=short(cell.label))
        for end, share in found.ends:
            axes.plot([end], [share], "x", color=color, ms=9, mew=2)
    names = sorted({summary.targets[cell.key].name for cell in shown})
    axes.set_xlabel("training steps  (cross: a seed that ended without the target)")
    axes.set_ylabel(f"seeds that reached {names[0] if len(names) == 1 else 'their target'}, %")
    axes.set_xlim(left=0)
    axes.set_ylim(-3, 103)
    say_cut(axes, len(cells), len(shown), "fastest")
    legend(axes, len(shown))
    return figure
