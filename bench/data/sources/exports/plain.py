"""Read the project's own layouts: `images/` + `masks/` with split files, or `Train_Images/`, `Train_Masks/`, ..."""

from __future__ import annotations

from pathlib import Path

from bench.core import UsageError
from bench.data.image_io import IMAGE_SUFFIXES
from bench.data.sources.classes import declared
from bench.data.sources.examination import Pair
from bench.data.sources.exports.common import Export, Layout, Pairs, Request, divided
from bench.data.sources.layout import all_masked, all_pictured, index, listed, masks_of, matched, text_of


def _listed(root: Path, request: Request) -> Export:
    """Read images/ + masks/. Splits are those of train.txt, val.txt and test.txt; without these, see `divided`."""
    faults, folders = request.faults, (root / "images", root / request.masks)
    if not folders[1].is_dir():
        raise UsageError(f"{root}: no folder {request.masks}/ beside images/; put the masks there or set data.masks")
    images = index(root, "images", IMAGE_SUFFIXES, faults)
    masks, endings, notes = masks_of(root, request.masks, images, faults, request.black_and_white)
    all_pictured(masks, images, "images", faults, endings)
    if not any((root / f"{split}.txt").exists() for split in ("train", "val", "test")):
        all_masked(images, masks, request.masks, faults, endings)
        whole = {key: Pair(path, masks[key]) for key, path in images.items() if key in masks}
        splits, more = divided(root, whole, request)
        return Export(splits, declared(root), notes=notes + more)
    splits = {
        split: listed(root / f"{split}.txt", images, masks, folders, faults, endings) for split in ("train", "val")
    }
    if (root / "test.txt").exists() and text_of(root / "test.txt").strip():
        splits["test"] = listed(root / "test.txt", images, masks, folders, faults, endings)
    return Export(splits, declared(root), notes=notes)


def _paired(root: Path, request: Request) -> Export:
    """Read Train_Images/, Train_Masks/, Val_Images/, ...: pairs by name."""
    splits: dict[str, Pairs] = {}
    notes: tuple[str, ...] = ()
    for split in ("Train", "Val", *(["Test"] if (root / "Test_Images").is_dir() else [])):
        names = f"{split}_Images", f"{split}_Masks"
        for name in names:
            if not (root / name).is_dir():
                raise UsageError(f"{root}: no folder {name}/, which this layout needs beside Train_Images/")
        images = index(root, names[0], IMAGE_SUFFIXES, request.faults)
        masks, endings, more = masks_of(root, names[1], images, request.faults, request.black_and_white)
        splits[split.lower()] = matched(images, masks, names, root, request.faults, endings)
        notes += more
    return Export(splits, declared(root), notes=notes)


LAYOUTS = (
    Layout(
        "",
        lambda root: (root / "Train_Images").is_dir(),
        _paired,
    ),
    Layout(
        "",
        lambda root: (root / "images").is_dir() and ((root / "masks").is_dir() or (root / "train.txt").is_file()),
        _listed,
    ),
)
