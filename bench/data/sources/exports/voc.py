"""Read folders in the layout of PASCAL VOC: CVAT's "Segmentation mask 1.1", labelme's own conversion, VOC itself.

All have `JPEGImages/` and `SegmentationClass/`. All but labelme's have `ImageSets/Segmentation/*.txt`. The class lists
differ.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.core import UsageError
from bench.data.image_io import IMAGE_SUFFIXES
from bench.data.sources.catalog import entries
from bench.data.sources.classes import Declared, declared
from bench.data.sources.examination import Classes, Faults, Pair
from bench.data.sources.exports.common import Export, Layout, Pairs, Request, in_splits
from bench.data.sources.layout import index, keys, listed, masks_of

_BELOW = ("", "VOCdevkit/VOC2012", "VOC2012")
_MASKS = ("SegmentationClassPNG", "SegmentationClass")  # the first is from earlier versions of labelme


def _base(root: Path) -> Path | None:
    """Return the folder that contains the mask folder; None if there is none."""
    bases = (root / below for below in _BELOW)
    return next((base for base in bases if any((base / name).is_dir() for name in _MASKS)), None)


def _is(*lists: str) -> Callable[[Path], bool]:
    """Return a test whether a folder has the layout and one of these class lists."""

    def here(root: Path) -> bool:
        base = _base(root)
        return base is not None and any((base / name).is_file() for name in lists)

    return here


def _read(root: Path, request: Request) -> Export:
    base = _base(root)
    assert base is not None
    if not (base / "JPEGImages").is_dir():
        raise UsageError(f"{base}: no folder JPEGImages/, so its images are missing; export again with images")
    folder = next(name for name in _MASKS if (base / name).is_dir())
    below = base.relative_to(root).as_posix()
    images = index(root, f"{below}/JPEGImages", IMAGE_SUFFIXES, request.faults)
    masks, endings, notes = masks_of(root, f"{below}/{folder}", images, request.faults, request.black_and_white)
    folders = base / "JPEGImages", base / folder
    found: dict[str, Pairs] = {}
    for path in sorted((base / "ImageSets/Segmentation").glob("[!.]*.txt")):
        chosen = [key for _, key in keys(path, Faults(stop=False))]
        if path.stem == "trainval" or (path.stem == "test" and not any(key in masks for key in chosen)):
            continue  # lists of VOC itself: trainval repeats train and val, and test has no masks
        found[path.stem] = listed(path, images, masks, folders, request.faults, endings) if chosen else {}
    if not found:
        found = {"": {key: Pair(path, masks[key]) for key, path in images.items() if key in masks}}
    splits, more = in_splits(root, found, request)
    if (known := declared(base)) is None:
        entry = entries()["voc2012"]
        known = Declared(Classes(entry.classes, entry.colors), None)
        notes += (f"{base}: no class list, so its classes are the 21 of VOC; for others put a classes.txt there",)
    return Export(splits, known, notes=notes + more)


LAYOUTS = (
    Layout("CVAT segmentation mask 1.1", _is("labelmap.txt"), _read),
    Layout("labelme2voc's folders", _is("class_names.txt", "labels.txt"), _read),
    Layout("PASCAL VOC", lambda root: _base(root) is not None, _read),
)
