"""The picture viewer of a report: the kept pictures with what cells predict in them, small enough for one page."""

import io
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

import results
from reports.document import Key, Shot, Viewer
from reports.figures.kept import Kept, image_iou, image_miou, read
from reports.figures.pictures import MOST_CELLS
from reports.summary import Summary

# Longest side of a photograph and of a label map, and the most that a viewer may hold, in pixels of label maps.
_PHOTO, _LABELS, _MOST_PIXELS = 800, 1024, 120_000_000


def viewer(run: results.Run, summary: Summary, keys: Sequence[Key]) -> Viewer | None:
    """Return the pictures of one data set to look through, as many as a page can hold; None if no trial kept any."""
    dataset = next((one.record.dataset for one in run.trials if one.record.dataset), None)
    cells = summary.measured[:MOST_CELLS]
    kept = [one for one in read(run, cells, []) if one.truth is not None and one.predictions]
    if dataset is None or not kept:
        return None
    shots: list[Shot] = []
    pixels = 0
    for one in kept:
        shot = _shot(one, dataset.ignore_index, len(dataset.class_names))
        pixels += len(shot.truth) * (1 + len(shot.predictions))
        if shots and pixels > _MOST_PIXELS:
            break
        shots.append(shot)
    shown = {key.cell: key for key in keys}
    classes = tuple(zip(dataset.class_names, dataset.colors, strict=True))
    cells_shown = tuple(shown[cell.key] for cell in cells)
    return Viewer(tuple(shots), cells_shown, classes, dataset.ignore_index, left_out=len(kept) - len(shots))


def of_dataset(run: results.Run, name: str) -> results.Run:
    """Return the trials of a run on one data set."""
    return replace(run, trials=[one for one in run.trials if one.record.dataset and one.record.dataset.name == name])


def _shot(kept: Kept, void: int, classes: int) -> Shot:
    truth = kept.truth
    assert truth is not None
    every = math.ceil(max(truth.shape) / _LABELS)  # a larger map is thinned out; its scores are those of the whole
    small = truth[::every, ::every]
    same = {cell: ids for cell, ids in kept.predictions.items() if ids.shape == truth.shape}
    return Shot(
        kept.name,
        _jpeg(kept.image),
        (small.shape[1], small.shape[0]),
        small.tobytes(),
        {cell: ids[::every, ::every].tobytes() for cell, ids in same.items()},
        {cell: _scores(truth, ids, void, classes) for cell, ids in same.items()},
    )


def _scores(truth: np.ndarray, ids: np.ndarray, void: int, classes: int) -> list[float | None]:
    """Return mIoU and the IoU of each class of a picture, in percent with one decimal."""
    per_class = image_iou(truth, ids, void)
    if per_class is None:
        return [None] * (1 + classes)
    values = [image_miou(truth, ids, void), *per_class[:classes].tolist()]
    return [None if value is None or math.isnan(value) else round(value, 1) for value in values]


def _jpeg(pixels: np.ndarray | None) -> bytes:
    if pixels is None:
        return b""
    picture = Image.fromarray(pixels)
    picture.thumbnail((_PHOTO, _PHOTO))
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=88, optimize=True)
    return out.getvalue()
