"""Prediction panels: image, truth, what each cell predicted, and where the cells are wrong."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

import results
from reports.summary import Summary
from reports.theme import SOFT, short

_MOST_ABREAST = 9
_MOST_CELLS = 25

Panel = tuple[str, np.ndarray]


def pictures(run: results.Run, summary: Summary, notes: list[str]) -> Figure | None:
    """Image, truth, each cell's prediction and a map of errors, for the best, median and worst of the kept images."""
    dataset = next((one.record.dataset for one in run.trials if one.record.dataset), None)
    shown = _artefacts(run, summary, notes)
    if dataset is None or not shown:
        return None
    void = dataset.ignore_index
    chosen = _telling(shown, void)
    colors = np.full((256, 3), 255, np.uint8)
    colors[: len(dataset.colors)] = dataset.colors
    colors[void] = (255, 255, 255)
    most = max(len(panels) for _, panels in chosen) + 1
    width = math.ceil(most / math.ceil(most / _MOST_ABREAST))
    ratio = float(np.median([panels[0][1].shape[0] / panels[0][1].shape[1] for _, panels in chosen]))
    rows = sum(math.ceil((len(panels) + 1) / width) for _, panels in chosen)
    figure, grid = plt.subplots(rows, width, squeeze=False, figsize=(2.6 * width, rows * (2.6 * ratio + 0.38)))
    for axes in grid.flat:
        axes.axis("off")
    used: set[int] = set()
    row = 0
    for name, panels in chosen:
        for index, (axes, panel) in enumerate(zip(grid[row:].flat, panels, strict=False)):
            used |= _show(axes, panel, panels, colors, void, f"{name}: " if index == 0 else "")
        _errors(grid[row:].flat[len(panels)], panels, void)
        row += math.ceil((len(panels) + 1) / width)
    figure.subplots_adjust(wspace=0.04, hspace=0.38 / (2.6 * ratio), left=0, right=1, top=1, bottom=0)
    handles = _legend(dataset, colors, used)
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=min(width, 6), frameon=False)
    return figure


def _telling(shown: list[list[Panel]], void: int) -> list[tuple[str, list[Panel]]]:
    """The images that the cells do best, middling and worst on, by their mean mIoU over the cells."""

    def score(panels: list[Panel]) -> float:
        truth = dict(panels).get("truth")
        found = [_image_miou(truth, pixels, void) for name, pixels in panels if pixels.ndim == 2 and name != "truth"]
        known = [one for one in found if one is not None]
        return float(np.mean(known)) if known else -1.0

    order = sorted(shown, key=score, reverse=True)
    if len(order) < 3:
        return list(zip(("best", "worst"), order, strict=False))
    return [("best", order[0]), ("median", order[len(order) // 2]), ("worst", order[-1])]


def _show(axes: plt.Axes, panel: Panel, panels: list[Panel], colors: np.ndarray, void: int, lead: str) -> set[int]:
    """Draw one panel; returns the classes in it."""
    name, pixels = panel
    mask = pixels.ndim == 2
    score = _image_miou(dict(panels).get("truth"), pixels, void) if mask and name != "truth" else None
    axes.imshow(colors[pixels] if mask else pixels, interpolation="nearest" if mask else "antialiased")
    axes.set_title(lead + short(name, 20) + ("" if score is None else f"  {score:.0f}"), fontsize=13, pad=4)
    return set(np.unique(pixels).tolist()) if mask else set()


def _errors(axes: plt.Axes, panels: list[Panel], void: int) -> None:
    """How many of the cells are wrong at each pixel: white none, black all; void is grey."""
    truth = dict(panels).get("truth")
    guesses = [
        pixels for name, pixels in panels if pixels.ndim == 2 and name != "truth" and truth is not None
        and pixels.shape == truth.shape
    ]  # fmt: skip
    if truth is None or not guesses:
        return
    share = np.mean([pixels != truth for pixels in guesses], axis=0)
    shades = plt.get_cmap("magma_r")(share)[..., :3]
    shades[truth == void] = 0.75
    axes.imshow(shades, interpolation="nearest")
    axes.set_title("wrong cells", fontsize=13, pad=4)


def _legend(dataset: results.Dataset, colors: np.ndarray, used: set[int]) -> list[Patch]:
    classes = [index for index in sorted(used) if index < len(dataset.class_names) and index != dataset.ignore_index]
    handles = [
        Patch(facecolor=colors[i] / 255, edgecolor=SOFT, label=short(dataset.class_names[i], 18)) for i in classes[:24]
    ]
    return handles + ([Patch(facecolor="white", edgecolor=SOFT, label="void")] if dataset.ignore_index in used else [])


def _artefacts(run: results.Run, summary: Summary, notes: list[str]) -> list[list[Panel]]:
    """[(name, pixels)] of each picture: image, truth, the cells from best to worst; the lowest seed that has it."""
    found: dict[tuple[int, str], dict[str, np.ndarray]] = {}
    labels = {cell.key: cell.label for cell in summary.cells[:_MOST_CELLS]}
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
