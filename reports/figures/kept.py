"""The pictures that the trials kept: photograph, truth and label maps, and the score of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

import results
from reports.summary import Cell


@dataclass
class Kept:
    """A validation image: `image` (H,W,3) uint8, `truth` and the `predictions` {cell: ids} (H,W) uint8.

    What was not kept, or cannot be read, is None or missing.
    """

    name: str
    image: np.ndarray | None = None
    truth: np.ndarray | None = None
    predictions: dict[str, np.ndarray] = field(default_factory=dict)


def read(run: results.Run, cells: Sequence[Cell], notes: list[str]) -> list[Kept]:
    """Read the kept pictures in their order, with the prediction of the lowest seed of each cell that has one.

    A line is added to `notes` for each file that cannot be read.
    """
    found: dict[tuple[int, str], Kept] = {}
    shown = {cell.key for cell in cells}
    for stored in sorted(run.trials, key=lambda one: (one.record.seed, one.record.trial)):
        for artefact in stored.record.artefacts:
            if artefact.kind not in ("image", "truth", "prediction") or stored.record.cell not in shown:
                continue
            name = str(artefact.meta.get("key", ""))
            kept = found.setdefault((int(artefact.meta.get("order", 0)), name), Kept(name))
            try:
                _add(kept, stored, artefact)
            except (ValueError, OSError) as error:
                notes.append(f"image left out: {error}")
    return [kept for _, kept in sorted(found.items(), key=lambda item: item[0])]


def _add(kept: Kept, stored: results.Stored, artefact: results.Artefact) -> None:
    """Read a file into a picture, unless it has it already."""
    cell = stored.record.cell
    if artefact.kind == "prediction":
        if cell not in kept.predictions:
            kept.predictions[cell] = _pixels(stored, artefact, "L")
    elif getattr(kept, artefact.kind) is None:
        setattr(kept, artefact.kind, _pixels(stored, artefact, "RGB" if artefact.kind == "image" else "L"))


def _pixels(stored: results.Stored, artefact: results.Artefact, mode: str) -> np.ndarray:
    with Image.open(results.artefact_path(stored, artefact)) as image:
        return np.asarray(image.convert(mode))


def image_iou(truth: np.ndarray | None, predicted: np.ndarray, void: int) -> np.ndarray | None:
    """Return the IoU of one picture per class id in percent, NaN where the class is in neither; void does not count.

    None if the sizes differ or all pixels are void.
    """
    matrix = _confusion(truth, predicted, void)
    return None if matrix is None else 100 * results.class_iou(matrix)


def image_miou(truth: np.ndarray | None, predicted: np.ndarray, void: int) -> float | None:
    """Return the mIoU of one picture in percent, without void; None if the sizes differ or all pixels are void."""
    matrix = _confusion(truth, predicted, void)
    return None if matrix is None else 100 * results.mean_iou(matrix)


def _confusion(truth: np.ndarray | None, predicted: np.ndarray, void: int) -> np.ndarray | None:
    if truth is None or truth.shape != predicted.shape or not (truth != void).any():
        return None
    pairs = 256 * truth[truth != void].astype(int) + predicted[truth != void]
    return np.bincount(pairs, minlength=256 * 256).reshape(256, 256)
