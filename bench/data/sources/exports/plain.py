"""Read the project's own layouts: `images/` + `masks/`, the same in `train/` and `val/`, or `Train_Images/`, ..."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.core import UsageError
from bench.data.image_io import IMAGE_SUFFIXES
from bench.data.sources.classes import declared
from bench.data.sources.examination import Pair
from bench.data.sources.exports.common import Export, Pairs, Request, divided, in_splits, split_name
from bench.data.sources.layout import all_masked, all_pictured, has_entry, index, listed, masks_of, matched, text_of


def reader(root: Path, masks: str) -> Callable[[Path, Request], Export] | None:
    """Return the reader of the project's own layout that a folder has; None if it has none.

    Args:
        masks: name of the mask folder (`data.masks`).
    """
    images = (root / "images").is_dir()
    if (root / "Train_Images").is_dir():
        return _paired
    if images and ((root / masks).is_dir() or has_entry(root / "train.txt")):
        return _listed
    return _by_split if not images and _split_folders(root, masks) else None


def _listed(root: Path, request: Request) -> Export:
    """Read images/ + masks/. Splits are those of train.txt, val.txt and test.txt; without these, see `_divided`."""
    faults, folders = request.faults, (root / "images", root / request.masks)
    if not folders[1].is_dir():
        raise UsageError(f"{root}: no folder {request.masks}/ beside images/; put the masks there or set data.masks")
    images = index(root, "images", IMAGE_SUFFIXES, faults)
    masks, endings, notes = masks_of(root, request.masks, images, faults, request.black_and_white)
    all_pictured(masks, images, root, "images", faults, endings)
    if not any(has_entry(root / f"{split}.txt") for split in ("train", "val", "test")):
        all_masked(images, masks, root, request.masks, faults, endings)
        whole = {key: Pair(path, masks[key]) for key, path in images.items() if key in masks}
        splits, more = _divided(root, whole, request)
        return Export(splits, declared(root), notes=notes + more)
    splits = {
        split: listed(root / f"{split}.txt", images, masks, folders, faults, endings) for split in ("train", "val")
    }
    if has_entry(root / "test.txt") and text_of(root / "test.txt").strip():
        splits["test"] = listed(root / "test.txt", images, masks, folders, faults, endings)
    return Export(splits, declared(root), notes=notes)


def _divided(root: Path, whole: Pairs, request: Request) -> tuple[dict[str, Pairs], tuple[str, ...]]:
    """Divide the pairs of images/ and masks/ without split files: by their folders, if all are in folders of splits."""
    by_folder: dict[str, Pairs] = {}
    for key, pair in whole.items():
        folder, below, _ = key.partition("/")
        by_folder.setdefault(folder if below else "", {})[key] = pair
    if "train" not in {split_name(folder) for folder in by_folder} or not all(map(split_name, by_folder)):
        return divided(root, whole, request)
    splits, notes = in_splits(root, by_folder, request)
    named = ", ".join(f"{folder}/" for folder in sorted(by_folder))
    return splits, (f"{root}: the folders {named} of images/ are its splits", *notes)


def _split_folders(root: Path, masks: str) -> list[Path]:
    """Return the folders with images and masks of their own, such as train/ and valid/, if one is for training."""
    found = [path for path in sorted(root.iterdir()) if (path / "images").is_dir() and (path / masks).is_dir()]
    return found if "train" in {split_name(path.name) for path in found} else []


def _by_split(root: Path, request: Request) -> Export:
    """Read train/images/, train/masks/, val/images/, ...: pairs by name."""
    found: dict[str, Pairs] = {}
    notes: tuple[str, ...] = ()
    for folder in _split_folders(root, request.masks):
        if split_name(folder.name) is None:
            continue
        names = f"{folder.name}/images", f"{folder.name}/{request.masks}"
        images = index(root, names[0], IMAGE_SUFFIXES, request.faults)
        masks, endings, more = masks_of(root, names[1], images, request.faults, request.black_and_white)
        pairs = matched(images, masks, names, root, request.faults, endings)
        found[folder.name] = {f"{folder.name}/{key}": pair for key, pair in pairs.items()}
        notes += more
    splits, more = in_splits(root, found, request)
    return Export(splits, declared(root), notes=notes + more)


def _paired(root: Path, request: Request) -> Export:
    """Read Train_Images/, Train_Masks/, Val_Images/, ...: pairs by name."""
    splits: dict[str, Pairs] = {}
    notes: tuple[str, ...] = ()
    for split in ("Train", "Val", *(["Test"] if has_entry(root / "Test_Images") else [])):
        names = f"{split}_Images", f"{split}_Masks"
        for name in names:
            if not (root / name).is_dir():
                raise UsageError(f"{root}: no folder {name}/, which this layout needs beside Train_Images/")
        images = index(root, names[0], IMAGE_SUFFIXES, request.faults)
        masks, endings, more = masks_of(root, names[1], images, request.faults, request.black_and_white)
        splits[split.lower()] = matched(images, masks, names, root, request.faults, endings)
        notes += more
    return Export(splits, declared(root), notes=notes)
