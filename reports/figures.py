"""The figures of a report, as PNG bytes: one theme, colour-blind-safe, equal bytes for equal records."""

import io
import math
from collections.abc import Callable
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

import results
from reports.summary import Summary

INK, SOFT = "#222222", "#8a8a8a"
_THEME: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.titlesize": 15,
    "axes.labelsize": 14,
    "axes.edgecolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 12.5,
    "ytick.labelsize": 12.5,
    "legend.fontsize": 12,
    "text.color": INK,
    "figure.dpi": 110,
}
# Seaborn's colour-blind palette, its two palest colours darkened.
_COLORS = ["#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#56b4e9", "#ca9161", "#444444", "#949494", "#b59b00"]
_MARKERS = "osD^vPXp<>"
_MOST_CLASSES = 30
_MOST_CURVES = 10
_MOST_ABREAST = 9


def draw(run: results.Run, summary: Summary) -> tuple[dict[str, bytes], list[str]]:
    """All figures that these records allow, {file name: PNG}, and a line for each thing that could not be drawn."""
    notes: list[str] = []
    makers: dict[str, Callable[[], Figure | None]] = {
        "miou.png": lambda: _miou(summary),
        "throughput.png": lambda: _throughput(summary),
        "views.png": lambda: _views(summary),
        "curves.png": lambda: _curves(run, summary),
        "classes.png": lambda: _classes(run, summary),
        "pictures.png": lambda: _pictures(run, summary, notes),
    }
    drawn = {}
    sns.set_theme(style="whitegrid")
    with mpl.rc_context(_THEME):
        for name, make in makers.items():
            if (figure := make()) is not None:
                drawn[name] = _png(figure)
    return drawn, notes


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    # Without the Software entry the bytes do not depend on the version of matplotlib's own name tag.
    figure.savefig(
        out, format="png", bbox_inches="tight", pad_inches=0.15, facecolor="white", metadata={"Software": None}
    )
    plt.close(figure)
    return out.getvalue()


def _style(index: int) -> dict[str, Any]:
    """Colour and marker of the cell at this rank, the same in every figure: told apart without colour, too."""
    return {"color": _COLORS[index % 10], "marker": _MARKERS[(index + index // 10) % len(_MARKERS)]}


def _short(label: str, most: int = 28) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def _miou(summary: Summary) -> Figure | None:
    cells = summary.measured
    if not cells:
        return None
    figure, axes = plt.subplots(figsize=(9.5, 1.5 + 0.5 * max(len(cells), 2)))
    for row, cell in enumerate(cells):
        style, interval = _style(row), cell.interval
        seeds = [100 * value for value in cell.miou.values()]
        # Seeds lie on a fixed ladder about the line, so that equal values do not hide each other.
        offsets = np.linspace(-0.16, 0.16, len(seeds)) if len(seeds) > 1 else [0.0]
        if not math.isnan(interval.low):
            axes.plot([100 * interval.low, 100 * interval.high], [row, row], color=style["color"], lw=7, alpha=0.3)
        axes.plot([100 * interval.mean] * 2, [row - 0.3, row + 0.3], color=INK, lw=2, zorder=4)
        axes.scatter(seeds, row + np.asarray(offsets), s=46, zorder=5, edgecolor="white", linewidth=0.8, **style)
    axes.set_yticks(range(len(cells)), [_short(cell.label) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    some = any(not math.isnan(cell.interval.low) for cell in cells)
    what = "seeds, mean and 95 % interval" if some else "seeds and mean; too few seeds for an interval"
    axes.set_xlabel(f"validation mIoU, %  ({what})")
    return figure


def _throughput(summary: Summary) -> Figure | None:
    cells = [(rank, cell) for rank, cell in enumerate(summary.measured) if cell.rates]
    if not cells:
        return None
    figure, axes = plt.subplots(figsize=(9.5, 5.6))
    for rank, cell in cells:
        x, interval, style = cell.images_per_second, cell.interval, _style(rank)
        if not math.isnan(interval.low):
            axes.plot([x, x], [100 * interval.low, 100 * interval.high], color=style["color"], lw=2, alpha=0.6)
        y = 100 * interval.mean
        axes.plot([min(cell.rates), max(cell.rates)], [y, y], color=style["color"], lw=2, alpha=0.6)
        axes.scatter([x], [y], s=110, zorder=5, edgecolor="white", label=_short(cell.label), **style)
    axes.set_xlabel("training throughput, images/s (median and range of the seeds)")
    axes.set_ylabel("validation mIoU, %")
    if summary.incomparable:
        axes.set_title("Throughput is not comparable between these trials", color="#b00020", loc="left")
    axes.margins(0.1)
    _legend(axes, len(cells))
    return figure


def _views(summary: Summary) -> Figure | None:
    timed = [view for view in summary.views if not math.isnan(view.images_per_second)]
    if not timed:
        return None
    ranks = {cell.key: rank for rank, cell in enumerate(summary.cells)}
    figure, axes = plt.subplots(figsize=(9.5, 5.6))
    shown = [key for key in ranks if any(view.key == key for view in timed)][:_MOST_CURVES]
    for key in shown:
        views = sorted((view for view in timed if view.key == key), key=lambda view: view.images_per_second)
        style = _style(ranks[key])
        x, y = [view.images_per_second for view in views], [100 * view.interval.mean for view in views]
        axes.plot(x, y, lw=1.6, ms=8, label=_short(views[0].label), **style)
        if key == shown[0]:
            for view, place in zip(views, zip(x, y, strict=True), strict=True):
                axes.annotate(view.name, place, xytext=(5, 6), textcoords="offset points", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlabel("evaluation, images/s (median of the seeds)")
    axes.set_ylabel("validation mIoU, %")
    axes.margins(0.12)
    _legend(axes, len(shown))
    return figure


def _legend(axes: plt.Axes, entries: int) -> None:
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, borderaxespad=0, ncols=1 + (entries - 1) // 15
    )


def _curves(run: results.Run, summary: Summary) -> Figure | None:
    frame = results.history(run.trials)
    frame = frame[frame["val_miou"].notna()]
    cells = [(rank, cell) for rank, cell in enumerate(summary.cells) if (frame["cell"] == cell.key).any()]
    if not cells:
        return None
    dropped = max(0, len(cells) - _MOST_CURVES)
    cells = cells[:_MOST_CURVES]
    figure, axes = plt.subplots(figsize=(9.5, 5.6))
    for rank, cell in cells:
        style = _style(rank)
        points = frame[frame["cell"] == cell.key].groupby("images")["val_miou"].agg(["mean", "min", "max"]) * 100
        axes.fill_between(points.index, points["min"], points["max"], color=style["color"], alpha=0.15, linewidth=0)
        every = max(1, len(points) // 8)
        label = _short(cell.label)
        axes.plot(points.index, points["mean"], lw=2.2, ms=6, markevery=(rank % every, every), label=label, **style)
    axes.set_xlabel("training images seen")
    axes.set_ylabel("validation mIoU, %")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}".replace(",", " "))
    if dropped:
        axes.set_title(f"the best {len(cells)} cells; {dropped} more in the tables", loc="left")
    _legend(axes, len(cells))
    return figure


def _classes(run: results.Run, summary: Summary) -> Figure | None:
    frame = results.classes(run.trials)
    frame = frame[(frame["split"] == "val") & (frame["view"] == "default")]
    keys = [cell.key for cell in summary.measured]
    frame = frame[frame["cell"].isin(keys)]
    if frame.empty:
        return None
    table = frame.pivot_table(index="cell", columns="class_id", values="iou", aggfunc="mean", dropna=False) * 100
    table = table.reindex([key for key in keys if key in table.index])
    names = frame.groupby("class_id")["class_name"].first()
    title = ""
    if len(table.columns) > _MOST_CLASSES:
        spread = (table.max() - table.min()).dropna().sort_values(kind="stable").index[-_MOST_CLASSES:]
        title = f"the {len(spread)} of {len(table.columns)} classes on which the cells differ most"
        table = table[sorted(spread)]
    order = table.mean().sort_values(ascending=False, kind="stable", na_position="last").index
    table = table[order]
    rows, columns = table.shape
    figure, axes = plt.subplots(figsize=(3.2 + 0.62 * max(columns, 6), 1.6 + 0.46 * max(rows, 2)))
    labels = {cell.key: _short(cell.label) for cell in summary.cells}
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
        xticklabels=[_short(str(names[index]), 18) for index in order],
        yticklabels=[labels[key] for key in table.index],
    )
    axes.tick_params(length=0)
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor")
    axes.set_title(title, loc="left")
    return figure


Panel = tuple[str, np.ndarray]


def _pictures(run: results.Run, summary: Summary, notes: list[str]) -> Figure | None:
    """Image, truth and each cell's prediction: a block of rows an image, in the order that the trials gave them."""
    dataset = next((one.record.dataset for one in run.trials if one.record.dataset), None)
    shown = _artefacts(run, summary, notes)
    if dataset is None or not shown:
        return None
    colors = np.full((256, 3), 255, np.uint8)
    colors[: len(dataset.colors)] = dataset.colors
    colors[dataset.ignore_index] = (255, 255, 255)
    most = max(len(panels) for panels in shown)
    width = math.ceil(most / math.ceil(most / _MOST_ABREAST))
    while len(shown) > 1 and sum(math.ceil(len(panels) / width) for panels in shown) > 14:
        shown.pop()
    ratio = float(np.median([panels[0][1].shape[0] / panels[0][1].shape[1] for panels in shown]))
    rows = sum(math.ceil(len(panels) / width) for panels in shown)
    figure, grid = plt.subplots(rows, width, squeeze=False, figsize=(2.6 * width, rows * (2.6 * ratio + 0.38)))
    for axes in grid.flat:
        axes.axis("off")
    used: set[int] = set()
    row = 0
    for panels in shown:
        truth = next((pixels for kind, pixels in panels if kind == "truth"), None)
        for index, (name, pixels) in enumerate(panels):
            axes = grid[row + index // width, index % width]
            mask = pixels.ndim == 2
            score = _image_miou(truth, pixels, dataset.ignore_index) if mask and name != "truth" else None
            axes.imshow(colors[pixels] if mask else pixels, interpolation="nearest" if mask else "antialiased")
            axes.set_title(_short(name, 20) + ("" if score is None else f"  {score:.0f}"), fontsize=13, pad=4)
            used |= set(np.unique(pixels).tolist()) if mask else set()
        row += math.ceil(len(panels) / width)
    classes = [index for index in sorted(used) if index < len(dataset.class_names) and index != dataset.ignore_index]
    handles = [
        Patch(facecolor=colors[i] / 255, edgecolor=SOFT, label=_short(dataset.class_names[i], 18)) for i in classes[:24]
    ]
    if dataset.ignore_index in used:
        handles.append(Patch(facecolor="white", edgecolor=SOFT, label="void"))
    figure.subplots_adjust(wspace=0.04, hspace=0.38 / (2.6 * ratio), left=0, right=1, top=1, bottom=0)
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=min(width, 6), frameon=False)
    return figure


def _artefacts(run: results.Run, summary: Summary, notes: list[str]) -> list[list[Panel]]:
    """[(name, pixels)] of each picture: image, truth, the cells from best to worst; the lowest seed that has it."""
    found: dict[tuple[int, str], dict[str, np.ndarray]] = {}
    labels = {cell.key: cell.label for cell in summary.cells}
    for stored in sorted(run.trials, key=lambda one: (one.record.seed, one.record.trial)):
        for artefact in stored.record.artefacts:
            if artefact.kind not in ("image", "truth", "prediction") or stored.record.cell not in labels:
                continue
            slot = found.setdefault((int(artefact.meta.get("order", 0)), str(artefact.meta.get("key", ""))), {})
            name = labels[stored.record.cell] if artefact.kind == "prediction" else f"\0{artefact.kind}"
            if name in slot:
                continue
            try:
                with Image.open(results.artefact_path(stored, artefact)) as image:
                    slot[name] = np.asarray(image.convert("RGB") if artefact.kind == "image" else image.convert("L"))
            except (ValueError, OSError) as error:
                notes.append(f"picture left out: {error}")
    order = ["\0image", "\0truth", *labels.values()]
    pictures = [[(name.strip("\0"), slot[name]) for name in order if name in slot] for _, slot in sorted(found.items())]
    return [panels for panels in pictures if len(panels) > 1]


def _image_miou(truth: np.ndarray | None, predicted: np.ndarray, void: int) -> float | None:
    """mIoU of one picture in percent, void left out; None when the sizes differ or all is void."""
    if truth is None or truth.shape != predicted.shape or not (truth != void).any():
        return None
    a, b = truth[truth != void].astype(int), predicted[truth != void].astype(int)
    both = np.bincount(a[a == b], minlength=256)
    union = np.bincount(a, minlength=256) + np.bincount(b, minlength=256) - both
    return float(100 * (both[union > 0] / union[union > 0]).mean())
