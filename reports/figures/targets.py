"""The figure of times to a target: which share of the seeds of a cell has reached it after how many steps."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from reports.figures.theme import legend, say_cut, short, styles
from reports.summary import Summary
from results.statistics import shares

MOST_CURVES = 10


def reached(summary: Summary) -> Figure | None:
    """Draw a rising step per cell; a cross at its end says that seeds ended there without the target."""
    cells = [cell for cell in summary.cells if cell.key in summary.targets]
    if not cells:
        return None
    shown = sorted(cells, key=lambda cell: summary.targets[cell.key].steps.median)[:MOST_CURVES]
    looks = styles(cell.label for cell in summary.cells)
    figure, axes = plt.subplots(figsize=(9.5, 4.6))
    for cell in shown:
        times = summary.targets[cell.key].each
        color = looks[cell.label]["color"]
        at, share = shares(times)
        ends = [time.value for time in times if not time.reached and time.value < float("inf")]
        last = float(share[-1]) if len(share) else 0.0
        x, y = [0.0, *at.tolist(), *ends[-1:]], [0.0, *share.tolist(), *[last] * len(ends[-1:])]
        axes.step(x, [100 * one for one in y], where="post", lw=2.2, color=color, label=short(cell.label))
        axes.plot(ends, [100 * last] * len(ends), "x", color=color, ms=9, mew=2)
    names = sorted({summary.targets[cell.key].name for cell in shown})
    axes.set_xlabel("training steps  (cross: a seed that ended without the target)")
    axes.set_ylabel(f"seeds that reached {names[0] if len(names) == 1 else 'their target'}, %")
    axes.set_xlim(left=0)
    axes.set_ylim(-3, 103)
    say_cut(axes, len(cells), len(shown), "fastest")
    legend(axes, len(shown))
    return figure
