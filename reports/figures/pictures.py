"""Prediction panels: image, truth, the prediction of each cell, and where the cells are wrong."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

import results
from reports.figures.kept import image_miou, read
from reports.figures.theme import SOFT, short
from reports.summary import Summary

_MOST_PER_ROW = 9
# Pixels of a panel, of the gap between two panels, and of a title.
_WIDE, _GAP, _TITLE, _DPI = 280, 10, 34, 110
MOST_CELLS = 25

Panel = tuple[str, np.ndarray]  # a photograph (H,W,3), or ids (H,W)
Tile = tuple[str, np.ndarray, bool]  # title, RGB, and whether it is a photograph


def pictures(run: results.Run, summary: Summary, notes: list[str]) -> Figure | None:
    """Draw image, truth, the cells' predictions and a map of errors for the best, median and worst kept image."""
    dataset = next((one.record.dataset for one in run.trials if one.record.dataset), None)
    shown = _panels(run, summary, notes)
    if dataset is None or not shown:
        return None
    colors = np.full((256, 3), 255, np.uint8)
    colors[: len(dataset.colors)] = dataset.colors
    colors[dataset.ignore_index] = (255, 255, 255)
    lines = []
    for name, panels in _best_median_worst(shown, dataset.ignore_index):
        titled = [_titled(panel, panels, colors, dataset.ignore_index) for panel in panels]
        titled[0] = (f"{name}: {titled[0][0]}", *titled[0][1:])
        lines.append([*titled, *_errors(panels, dataset.ignore_index)])
    used = {int(value) for panels in shown for _, pixels in panels if pixels.ndim == 2 for value in np.unique(pixels)}
    width = _per_row(max(map(len, lines)))
    figure = _tiled([line[at : at + width] for line in lines for at in range(0, len(line), width)])
    handles = _legend(dataset, colors, used)
    if len(summary.measured) > MOST_CELLS:
        notes.append(f"Predictions: the best {MOST_CELLS} of {len(summary.measured)} cells, in the map of errors too.")
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=min(width, 6), frameon=False)
    return figure


def _per_row(most: int) -> int:
    """Return how many panels stand side by side, so that the rows of a picture are about equally long."""
    return math.ceil(most / math.ceil(most / _MOST_PER_ROW))


def _tiled(rows: list[list[Tile]]) -> Figure:
    """Draw rows of titled RGB pictures as one image with text: separate axes would take seconds."""
    heights = [max(_WIDE * pixels.shape[0] // pixels.shape[1] for _, pixels, _ in row) for row in rows]
    size = max(map(len, rows)) * (_WIDE + _GAP) - _GAP, sum(heights) + len(rows) * _TITLE
    canvas = Image.new("RGB", size, "white")
    figure = plt.figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for index, (name, pixels, smooth) in enumerate(row):
            left = index * (_WIDE + _GAP)
            picture = Image.fromarray(pixels)
            scaled = (_WIDE, _WIDE * picture.height // picture.width)
            canvas.paste(
                picture.resize(scaled, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST),
                (left, top + _TITLE),
            )
            axes.text(left + _WIDE / 2, top + _TITLE - 6, name, ha="center", va="bottom", fontsize=13)
        top += height + _TITLE
    axes.imshow(np.asarray(canvas), interpolation="none", aspect="auto")
    return figure


def _best_median_worst(shown: list[list[Panel]], void: int) -> list[tuple[str, list[Panel]]]:
    """Return the best, median and worst image by mean mIoU over the cells."""

    def score(panels: list[Panel]) -> float:
        truth = dict(panels).get("truth")
        found = [image_miou(truth, pixels, void) for name, pixels in panels if pixels.ndim == 2 and name != "truth"]
        known = [one for one in found if one is not None]
        return float(np.mean(known)) if known else -1.0

    order = sorted(shown, key=score, reverse=True)
    if len(order) < 3:
        return list(zip(("best", "worst"), order, strict=False))
    return [("best", order[0]), ("median", order[len(order) // 2]), ("worst", order[-1])]


def _titled(panel: Panel, panels: list[Panel], colors: np.ndarray, void: int) -> Tile:
    """Return the panel in colours; the title of a prediction contains its mIoU."""
    name, pixels = panel
    if pixels.ndim == 3:
        return name, pixels, True
    score = None if name == "truth" else image_miou(dict(panels).get("truth"), pixels, void)
    return short(name, 20) + ("" if score is None else f"  {score:.0f}"), colors[pixels], False


def _errors(panels: list[Panel], void: int) -> list[Tile]:
    """Return the share of cells that are wrong at each pixel: white none, black all, grey void."""
    truth = dict(panels).get("truth")
    guesses = [
        pixels
        for name, pixels in panels
        if truth is not None and name != "truth" and pixels.shape == truth.shape
    ]  # fmt: skip
    if truth is None or not guesses:
        return []
    share = np.mean([pixels != truth for pixels in guesses], axis=0)
    shades = (255 * plt.get_cmap("magma_r")(share)[..., :3]).astype(np.uint8)
    shades[share == 0] = 255
    shades[truth == void] = 190
    return [("wrong cells" if len(guesses) > 1 else "wrong", shades, False)]


def _legend(dataset: results.Dataset, colors: np.ndarray, used: set[int]) -> list[Patch]:
    classes = [index for index in sorted(used) if index < len(dataset.class_names) and index != dataset.ignore_index]
    handles = [
        Patch(facecolor=colors[i] / 255, edgecolor=SOFT, label=short(dataset.class_names[i], 18)) for i in classes[:24]
    ]
    return handles + ([Patch(facecolor="white", edgecolor=SOFT, label="void")] if dataset.ignore_index in used else [])


def _panels(run: results.Run, summary: Summary, notes: list[str]) -> list[list[Panel]]:
    """Return [(name, pixels)] per picture: image, truth, cells from best to worst."""
    cells = summary.cells[:MOST_CELLS]
    pictures = []
    for kept in read(run, cells, notes):
        panels = [("image", kept.image), ("truth", kept.truth)]
        panels += [(cell.label, kept.predictions.get(cell.key)) for cell in cells]
        pictures.append([(name, pixels) for name, pixels in panels if pixels is not None])
    return [panels for panels in pictures if len(panels) > 1]
