"""Predicted label maps in a folder: one per image of a split, as PNG or .npy. All are checked before any is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from bench.core import IGNORE_INDEX, UsageError
from bench.data import Split
from results import counted

SUFFIXES = (".png", ".npy")
_NAMED = 3  # missing images that a message names


def label_maps(folder: Path, split: Split, name: str, classes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield truth and prediction of each image of a split, both (H, W) uint8, after all were checked.

    A label map is named after the key of its image: `KEY.png` or `KEY.npy`. Of a key with folders the last part will
    do if no other key ends so. Other files of the folder are left alone.

    Args:
        folder: of the label maps.
        split: the images.
        name: of the split, for messages.
        classes: number of classes.

    Raises:
        UsageError: a label map is missing, is no label map, has another size than its label, or holds an id that is no
            class; the message says how many others have a fault.
    """
    places = _places(folder, split, name)
    faults = [fault for index, place in enumerate(places) if (fault := _fault(place, split, index, classes))]
    if faults:
        more = f" (and {len(faults) - 1} more of {len(places)} label maps have a fault)" if len(faults) > 1 else ""
        raise UsageError(f"{faults[0]}{more}")
    return ((split.read(index)[1], read(place)) for index, place in enumerate(places))


def _places(folder: Path, split: Split, name: str) -> list[Path]:
    """Return the file of each image's label map.

    Raises:
        UsageError: there is no such folder, or label maps are missing.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder of label maps")
    ends = Counter(key.rpartition("/")[2] for key in split.keys)
    found = {key: _place(folder, key, ends) for key in split.keys}
    missing = [key for key, place in found.items() if place is None]
    if missing:
        named = ", ".join(map(repr, missing[:_NAMED])) + (", ..." if len(missing) > _NAMED else "")
        raise UsageError(
            f"{folder}: no label map of {len(missing)} of {len(split)} images of the split {name}: {named}; write one "
            "KEY.png or KEY.npy for each image"
        )
    return [place for place in found.values() if place is not None]


def _place(folder: Path, key: str, ends: Counter[str]) -> Path | None:
    """Return the file of the label map of an image; None if there is none."""
    last = key.rpartition("/")[2]
    names = [key, *([last] if ends[last] == 1 else [])]
    files = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def _fault(place: Path, split: Split, index: int, classes: int) -> str:
    """Return what is wrong with a label map, in one line; empty if nothing is."""
    try:
        ids = read(place)
    except UsageError as error:
        return str(error)
    height, width = split.read(index)[1].shape
    if ids.shape != (height, width):
        return (
            f"{place}: {ids.shape[1]}x{ids.shape[0]} pixels, but the label of {split.keys[index]!r} has "
            f"{width}x{height}; write predictions at the label's own size"
        )
    counts = np.bincount(ids.ravel(), minlength=256)
    if counts[IGNORE_INDEX] and classes <= IGNORE_INDEX:
        void = counted(counts[IGNORE_INDEX], "pixel is", "pixels are")
        return f"{place}: {void} void ({IGNORE_INDEX}); a prediction needs a class for every pixel, 0 to {classes - 1}"
    if (strange := np.flatnonzero(counts[classes:])).size:
        found = int(strange[0]) + classes
        known = f"there are {classes} classes, 0 to {classes - 1}"
        return f"{place}: class id {found} on {counted(counts[found], 'pixel')}, but {known}"
    return ""


def read(place: Path) -> np.ndarray:
    """Return a label map as class ids (H, W) uint8.

    Raises:
        UsageError: it cannot be read, has colours, or has other values than integers in 0..255.
    """
    try:
        found = np.load(place, allow_pickle=False) if place.suffix == ".npy" else _png(place)
    except UsageError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, EOFError, ...
        raise UsageError(f"{place}: cannot be read ({str(error).splitlines()[0] if str(error) else error!r})") from None
    found = np.squeeze(found)
    if found.ndim != 2:
        raise UsageError(f"{place}: an array of shape {found.shape}; write class ids of shape (height, width)")
    if not (np.issubdtype(found.dtype, np.integer) or found.dtype == bool):
        raise UsageError(f"{place}: values of type {found.dtype}; write class ids as integers, the arg-max of scores")
    if found.size and not 0 <= int(found.min()) <= int(found.max()) <= 255:
        raise UsageError(f"{place}: class ids {int(found.min())} to {int(found.max())}; they have to be 0 to 255")
    return found.astype(np.uint8)


def _png(place: Path) -> np.ndarray:
    with Image.open(place) as image:
        if image.mode not in ("L", "P", "1", "I", "I;16"):
            raise UsageError(f"{place}: a picture of mode {image.mode}; write one channel of class ids, not colours")
        return np.asarray(image)
