"""Figures of the scores of the cells."""

import math
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

import results
from reports.figures.theme import INK, MOST_ROWS, SOFT, legend, readable, say_cut, short, styles
from reports.summary import Cell, Summary, ViewSummary
from results.statistics import from_best

MOST_CLASSES = 30
MOST_CURVES = 10
MOST_BANDS = 4


@dataclass(frozen=True)
class ByClass:
    """IoU per class in percent: `iou` is indexed by (cell, view) and has a column per class id, NaN where none is.

    `labels` holds the label of each row's cell, `classes` the name of each column. `title` says which classes were left
    out; it is empty if none were.
    """

    iou: pd.DataFrame
    labels: list[str]
    classes: list[str]
    title: str


def miou(summary: Summary) -> Figure | None:
    """Draw the seeds, mean and interval of each cell, best on top."""
    cells = summary.measured[:MOST_ROWS]
    if not cells:
        return None
    figure, axes = plt.subplots(figsize=(9.5, 1.5 + 0.5 * max(len(cells), 2)))
    looks = styles(cell.label for cell in summary.cells)
    for row, cell in enumerate(cells):
        look, interval = looks[cell.label], cell.interval
        seeds = [100 * value for value in cell.miou.values()]
        # Seeds have fixed offsets from the line, so that equal values do not hide each other.
        offsets = np.linspace(-0.16, 0.16, len(seeds)) if len(seeds) > 1 else [0.0]
        if not math.isnan(interval.low):
            axes.plot([100 * interval.low, 100 * interval.high], [row, row], color=look["color"], lw=7, alpha=0.3)
        axes.plot([100 * interval.mean] * 2, [row - 0.3, row + 0.3], color=INK, lw=2, zorder=4)
        axes.scatter(seeds, row + np.asarray(offsets), s=46, zorder=5, edgecolor="white", linewidth=0.8, **look)
    axes.set_yticks(range(len(cells)), [short(cell.label) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    some = any(not math.isnan(cell.interval.low) for cell in cells)
    what = "seeds, mean and 95 % interval" if some else "seeds and mean; too few seeds for an interval"
    axes.set_xlabel(f"{summary.judged_on} mIoU, %  ({what})")
    say_cut(axes, len(summary.measured), len(cells))
    return figure


def best(summary: Summary) -> Figure | None:
    """Draw each cell's distance to the best one, against a margin of half a point.

    The intervals hold together and agree with the letters: one that leaves zero out is a significant difference.
    """
    cells = summary.measured[:MOST_ROWS]
    if len(cells) < 2 or summary.ranking.pool is None or summary.look:
        return None
    distances = from_best({cell.key: cell.miou for cell in summary.measured}, summary.ranking)
    looks = styles(cell.label for cell in summary.cells)
    figure, axes = plt.subplots(figsize=(9.5, 1.5 + 0.42 * len(cells)))
    axes.axvspan(-0.5, 0.5, color=SOFT, alpha=0.18, lw=0)
    axes.axvline(0, color=INK, lw=1.2)
    for row, cell in enumerate(cells[1:]):
        found, own = distances[cell.key], looks[cell.label]
        same = summary.ranking.indistinguishable(cells[0].key, cell.key)
        look = {**own, "mfc": "white" if same else own["color"]}
        if not math.isnan(found.low):
            axes.plot([100 * found.low, 100 * found.high], [row, row], color=look["color"], lw=2.4)
        axes.plot([100 * found.estimate], [row], ms=9, mew=2, zorder=5, lw=0, **look)
    axes.set_yticks(range(len(cells) - 1), [short(cell.label) for cell in cells[1:]])
    axes.set_ylim(len(cells) - 1.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(
        f"mIoU less that of {short(cells[0].label)}, points  (filled: a significant difference, open: none)"
    )
    say_cut(axes, len(summary.measured), len(cells))
    return figure


def throughput(summary: Summary) -> Figure | None:
    """Draw throughput against mIoU, and the Pareto frontier: the cells that no other cell matches in both."""
    timed = [cell for cell in summary.measured if cell.rates]
    cells = timed[:MOST_ROWS]
    if not cells or (summary.incomparable and not summary.timed):
        return None
    figure, axes = plt.subplots(figsize=(9.5, 5.6))
    looks = styles(cell.label for cell in summary.cells)
    for cell in cells:
        x, interval, look = cell.images_per_second, cell.interval, looks[cell.label]
        if not math.isnan(interval.low):
            axes.plot([x, x], [100 * interval.low, 100 * interval.high], color=look["color"], lw=2, alpha=0.6)
        y = 100 * interval.mean
        axes.plot([min(cell.rates), max(cell.rates)], [y, y], color=look["color"], lw=2, alpha=0.6)
        axes.scatter([x], [y], s=110, zorder=5, edgecolor="white", label=short(cell.label), **look)
    edge = [[cell.images_per_second, 100 * cell.interval.mean] for cell in frontier(cells)]
    axes.plot(*np.transpose(edge), color=SOFT, lw=1.2, ls="--", zorder=1)
    axes.set_xlabel("training throughput, images/s (median and range of the seeds)")
    axes.set_ylabel("validation mIoU, %")
    say_cut(axes, len(timed), len(cells))
    axes.margins(0.1)
    legend(axes, len(cells))
    return figure


def frontier(cells: list[Cell]) -> list[Cell]:
    """Return the cells that no other cell matches in both speed and mIoU, from slow to fast.

    The seeds have to tell a cell from the next slower one: each median is outside the range of the other's rates.
    """
    kept: list[Cell] = []
    for cell in sorted(cells, key=lambda cell: (-cell.interval.mean, -cell.images_per_second)):
        if not kept or (cell.images_per_second > max(kept[-1].rates) and kept[-1].images_per_second < min(cell.rates)):
            kept.append(cell)
    return kept


def _plain_log(axes: plt.Axes) -> None:
    """Make the x-axis logarithmic, with as many plain numbers as labels as there is room for."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 3, 5, 7) if decades < 1.2 else (1, 3) if decades < 2.5 else (1,))
    )
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def views(summary: Summary) -> Figure | None:
    """Draw evaluation speed against mIoU of the same weights in several views, each marked by its number."""
    timed = [view for view in summary.views if not math.isnan(view.images_per_second)]
    if not timed:
        return None
    labels = {cell.key: cell.label for cell in summary.cells}
    looks = styles(labels.values())
    figure, axes = plt.subplots(figsize=(9.5, 5.6))
    there = [key for key in labels if any(view.key == key for view in timed)]
    shown = there[:MOST_CURVES]
    numbers = numbered([view for view in timed if view.key == shown[0]])
    for key in shown:
        own = {view.name: (view.images_per_second, 100 * view.interval.mean) for view in timed if view.key == key}
        look = looks[labels[key]]
        axes.plot(*zip(*own.values(), strict=True), ls="none", ms=8, label=short(labels[key]), **look)
        for name, place in own.items():
            if "default" in own:  # the gain and the cost of the view
                axes.plot(*zip(own["default"], place, strict=True), color=look["color"], lw=1, alpha=0.4, zorder=1)
            axes.annotate(str(numbers.get(name, "")), place, xytext=(6, 5), textcoords="offset points", fontsize=11)
    _plain_log(axes)
    axes.set_xlabel("evaluation, images/s (median of the seeds)")
    axes.set_ylabel("validation mIoU, %")
    if summary.incomparable and not summary.timed:
        axes.set_title("Throughput is not comparable between these trials", color="#b00020", loc="left")
    else:
        say_cut(axes, len(there), len(shown))
    axes.margins(0.12)
    legend(axes, len(shown))
    _name_numbers(axes, numbers)
    return figure


def numbered(views: list[ViewSummary]) -> dict[str, int]:
    """Number the views of a cell from 1 on; the stride of training is one view under two names, with one number."""
    places: dict[tuple[float, float], int] = {}
    return {
        view.name: places.setdefault((view.images_per_second, view.interval.mean), len(places) + 1) for view in views
    }


def _name_numbers(axes: plt.Axes, numbers: dict[str, int]) -> None:
    """Write the meaning of the numbers beside the points below the axes."""
    names = {number: [name for name, own in numbers.items() if own == number] for number in numbers.values()}
    legend_text = "\n".join(f"{number}  {' = '.join(same)}" for number, same in names.items())
    axes.annotate(
        legend_text,
        (0, 0),
        xytext=(0, -54),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top",
        fontsize=11,
    )


def courses(run: results.Run, summary: Summary) -> list[tuple[Cell, pd.DataFrame]]:
    """Return the cells that have a learning curve, best first, each with its curve.

    A curve is indexed by training images; columns mean, min and max are validation mIoU over the seeds in percent.
    """
    frame = results.history(run.trials)
    frame = frame[frame["val_miou"].notna()]
    rows = dict(tuple(frame.groupby("cell")))
    return [
        (cell, rows[cell.key].groupby("images")["val_miou"].agg(["mean", "min", "max"]) * 100)
        for cell in summary.cells
        if cell.key in rows
    ]


def curves(run: results.Run, summary: Summary) -> Figure | None:
    """Draw validation mIoU over training images, as mean and range of the seeds."""
    found = courses(run, summary)
    if not found:
        return None
    there = len(found)
    cells = found[:MOST_CURVES]
    figure, axes = plt.subplots(figsize=(9.5, 5.6))
    looks = styles(cell.label for cell in summary.cells)
    for rank, (cell, points) in enumerate(cells):
        look = looks[cell.label]
        if len(cells) <= MOST_BANDS:  # more of them cover each other
            axes.fill_between(points.index, points["min"], points["max"], color=look["color"], alpha=0.15, linewidth=0)
        every = max(1, len(points) // 8)
        label = short(cell.label)
        axes.plot(points.index, points["mean"], lw=2.2, ms=6, markevery=(rank % every, every), label=label, **look)
    axes.set_xlabel("training images seen")
    axes.set_ylabel("validation mIoU, %")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}".replace(",", " "))
    say_cut(axes, there, len(cells))
    legend(axes, len(cells))
    return figure


def by_class(run: results.Run, summary: Summary) -> ByClass | None:
    """Return IoU per cell and class, and per view if there is room; None without any."""
    frame = results.classes(run.trials)
    frame = frame[frame["split"] == summary.split]
    labels = {cell.key: cell.label for cell in summary.cells}
    rows = [(cell.key, "default") for cell in summary.measured[:MOST_ROWS]]
    if 0 < len(summary.views) <= MOST_ROWS:
        rows = [(view.key, view.name) for view in summary.views]
    means = frame.groupby(["cell", "view", "class_id"])["iou"].mean()
    table = means.unstack() * 100  # noqa: PD010 - a pivot drops classes that occur nowhere
    table = table.loc[[row for row in rows if row in table.index]]
    if table.empty:
        return None
    names = frame.groupby("class_id")["class_name"].first()
    title = ""
    if len(table.columns) > MOST_CLASSES:
        spread = (table.max() - table.min()).dropna().sort_values(kind="stable").index[-MOST_CLASSES:]
        title = f"the {len(spread)} of {len(table.columns)} classes on which the cells differ most"
        table = table[sorted(spread)]
    return ByClass(
        table, [labels[key] for key, _ in table.index], [str(names[index]) for index in table.columns], title
    )


def classes(run: results.Run, summary: Summary) -> Figure | None:
    """Draw IoU per cell and class, and per view if there is room, as a heat map."""
    found = by_class(run, summary)
    if found is None:
        return None
    table, title = found.iou, found.title
    lines, columns = table.shape
    figure, axes = plt.subplots(figsize=(3.2 + 0.62 * max(columns, 6), 1.6 + 0.46 * max(lines, 2)))
    sns.heatmap(
        table.to_numpy(float),
        ax=axes,
        vmin=0,
        vmax=100,
        cmap="cividis",
        annot=True,
        fmt=".0f",
        annot_kws={"size": 12 if columns <= 15 else 10.5},
        linewidths=0.6,
        cbar_kws={"label": "IoU, %", "pad": 0.015},
        xticklabels=[short(name, 18) for name in found.classes],
        yticklabels=[
            short(label) if view == "default" else f"{short(label)}, {view}"
            for label, (_, view) in zip(found.labels, table.index, strict=True)
        ],
    )
    _readable_digits(axes)
    axes.tick_params(length=0)
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor")
    axes.set_title(title, loc="left")
    if not title:
        say_cut(axes, len(summary.measured), len({at[0] for at in table.index}))
    return figure


def _readable_digits(axes: plt.Axes) -> None:
    """Write each number of a heat map in black or white, whichever its field lets stand out more."""
    mesh = axes.collections[0]
    mesh.update_scalarmappable()
    fields = zip(np.ma.getmaskarray(mesh.get_array()).flat, mesh.get_facecolors(), strict=True)  # type: ignore[attr-defined]
    colors = [color for empty, color in fields if not empty]  # an empty field has no number
    for text, color in zip(axes.texts, colors, strict=True):
        text.set_color(readable(color))


def confused(run: results.Run, summary: Summary) -> tuple[np.ndarray, list[str]] | None:
    """Return the confusion matrix of the best cell over all of its seeds, in percent of the row, and the classes.

    None without one, or with more than MOST_CLASSES classes.
    """
    if not summary.measured:
        return None
    key = summary.measured[0].key
    found = [
        (np.array(view.confusion, float), one.record.dataset.class_names)
        for one in run.trials
        if one.record.cell == key and one.record.dataset
        for view in one.record.views
        if (view.view, view.split) == ("default", summary.split) and view.confusion
    ]
    if not found or not 2 <= len(found[0][1]) <= MOST_CLASSES:
        return None
    total = np.sum([matrix for matrix, _ in found], axis=0)
    with np.errstate(invalid="ignore"):
        return 100 * total / total.sum(axis=1, keepdims=True), list(found[0][1])


def confusion(run: results.Run, summary: Summary) -> Figure | None:
    """Draw the confusion matrix of the best cell over all of its seeds."""
    found = confused(run, summary)
    if found is None:
        return None
    share, names = found[0], [short(name, 16) for name in found[1]]
    size = 2.2 + 0.52 * max(len(names), 5)
    figure, axes = plt.subplots(figsize=(size + 1.2, size))
    sns.heatmap(
        share, ax=axes, vmin=0, vmax=100, cmap="cividis", annot=True, fmt=".0f", square=True, linewidths=0.5,
        annot_kws={"size": 11 if len(names) <= 15 else 8}, cbar_kws={"label": "% of the class's pixels", "pad": 0.02},
        xticklabels=names, yticklabels=names,
    )  # fmt: skip
    _readable_digits(axes)
    axes.tick_params(length=0)
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor")
    axes.set(xlabel="predicted", ylabel="truth")
    axes.set_title(short(summary.measured[0].label, 40), loc="left")
    return figure


def gradient(summary: Summary) -> Figure | None:
    """Draw the gradient scale of each loss, before training and when the prediction is right."""
    scaled = [cell for cell in summary.measured if cell.gradient[0] > 0]
    cells = scaled[:MOST_ROWS]
    if len({cell.gradient for cell in cells}) < 2:
        return None
    figure, axes = plt.subplots(figsize=(9.5, 1.6 + 0.42 * len(cells)))
    axes.axvline(1, color=SOFT, lw=1.2)
    looks = styles(cell.label for cell in summary.cells)
    for row, cell in enumerate(cells):
        look, (initial, later) = looks[cell.label], cell.gradient
        if later > 0:
            axes.plot([initial, later], [row, row], color=look["color"], lw=2, alpha=0.6)
            axes.plot([later], [row], ms=9, mew=2, lw=0, **{**look, "mfc": "white"})
        axes.plot([initial], [row], ms=10, lw=0, **look)
    _plain_log(axes)
    axes.set_yticks(range(len(cells)), [short(cell.label) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("gradient norm / that of cross-entropy  (filled: before training, open: margin 3)")
    say_cut(axes, len(scaled), len(cells))
    return figure
