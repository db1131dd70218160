"""Figures of the costs of the cells: time by phase, memory, scaling."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from reports.figures.theme import INK, MOST_ROWS, SOFT, legend, say_cut, short, style, styles
from reports.summary import Cell, Summary

# Phase, colour and hatch; the hatches keep phases distinct in grey.
PHASES = {
    "start": ("#949494", ""), "compile": ("#de8f05", "//"), "waiting for input": ("#d55e00", "xx"),
    "training step": ("#0173b2", ""), "evaluation": ("#029e73", ".."), "reading, writing": ("#cc78bc", "\\\\"),
}  # fmt: skip


def steps(summary: Summary) -> Figure | None:
    """Draw the seconds of a trial by phase; time that training waited for input is separate if it was measured."""
    timed = [cell for cell in summary.measured if cell.clocks["train"] > 0]
    cells = timed[:MOST_ROWS]
    if not cells:
        return None
    figure, axes = plt.subplots(figsize=(9.5, 1.8 + 0.42 * max(len(cells), 2)))
    left = np.zeros(len(cells))
    table = [phases(cell) for cell in cells]
    for name, (color, hatch) in PHASES.items():
        width = np.array([row[name] for row in table])
        if width.sum() > 0:
            axes.barh(
                range(len(cells)), width, left=left, height=0.62, color=color, hatch=hatch, edgecolor="white", lw=0.4,
                label=name,
            )  # fmt: skip
            left += width
    axes.set_yticks(range(len(cells)), [short(cell.label) for cell in cells])
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("seconds of a trial, mean of the seeds")
    say_cut(axes, len(timed), len(cells))
    legend(axes, len(PHASES))
    return figure


def phases(cell: Cell) -> dict[str, float]:
    """Return the seconds of a trial by phase, mean of the seeds."""
    clocks = {name: float(np.nan_to_num(seconds)) for name, seconds in cell.clocks.items()}
    waiting = clocks["train"] * float(np.nan_to_num(cell.input_share))
    return {
        "start": clocks["init"], "compile": clocks["compile"], "waiting for input": waiting,
        "training step": clocks["train"] - waiting, "evaluation": clocks["eval"], "reading, writing": clocks["io"],
    }  # fmt: skip


def memory(summary: Summary) -> Figure | None:
    """Draw the peak memory of the process and, if there is one, of the GPU."""
    kinds = [
        (name, title)
        for name, title in (("peak_gpu_mb", "GPU"), ("peak_rss_mb", "process"))
        if any(cell.memory[name] for cell in summary.measured)
    ]
    cells = summary.measured[:MOST_ROWS]
    if not kinds or not cells:
        return None
    figure, panels = plt.subplots(
        1, len(kinds), squeeze=False, sharey=True, figsize=(9.5, 1.6 + 0.36 * max(len(cells), 2))
    )
    looks = styles(cell.label for cell in summary.cells)
    for axes, (name, title) in zip(panels.flat, kinds, strict=True):
        for row, cell in enumerate(cells):
            if seeds := cell.memory[name]:
                axes.barh([row], [np.mean(seeds)], height=0.6, color=looks[cell.label]["color"], alpha=0.55, lw=0)
                axes.plot(seeds, [row] * len(seeds), "|", color=INK, ms=11)
        axes.set_xlabel(f"{title}, MiB")
        axes.grid(axis="y", visible=False)
    panels[0, 0].set_yticks(range(len(cells)), [short(cell.label) for cell in cells])
    panels[0, 0].set_ylim(len(cells) - 0.5, -0.5)
    say_cut(panels[0, 0], len(summary.measured), len(cells))
    return figure


def scaling(summary: Summary) -> Figure | None:
    """Draw throughput over replicas with the ideal line, and the efficiency T(n) / (n T(1))."""
    if not summary.scaling:
        return None
    figure, (rate, share) = plt.subplots(1, 2, figsize=(11, 4.8))
    names = list(dict.fromkeys(row.series for row in summary.scaling))
    for index, name in enumerate(names):
        look, rows = style(index), [row for row in summary.scaling if row.series == name]
        counts, rates = [row.replicas for row in rows], [row.images_per_second for row in rows]
        rate.plot(counts, rates, label=short(name), lw=2, ms=7, **look)
        rate.plot(counts, [rates[0] * n / counts[0] for n in counts], color=look["color"], lw=1, ls=":")
        share.plot(counts, [row.efficiency for row in rows], lw=2, ms=7, **look)
        ends = [(row.efficiency, row.efficiency) if row.low is None else (row.low, row.high) for row in rows]
        share.fill_between(counts, *zip(*ends, strict=True), color=look["color"], alpha=0.15, lw=0)
    share.axhline(1, color=SOFT, lw=1)
    every = sorted({row.replicas for row in summary.scaling})
    for axes, label in ((rate, "images/s (dotted: ideal)"), (share, "efficiency, 95 % band")):
        axes.set_xscale("log", base=2)
        axes.set_xticks(every, [str(n) for n in every])
        axes.set(xlabel="replicas", ylabel=label)
        axes.set_ylim(bottom=0)
    legend(share, len(names))
    # The labels belong to the curves of the left panel, but the legend is at the right one.
    handles, labels = rate.get_legend_handles_labels()
    share.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, borderaxespad=0)
    figure.tight_layout()
    return figure
