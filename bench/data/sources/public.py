"""Published data sets in the layouts in which their sources give them out, with their official ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.core import IGNORE_INDEX, UsageError
from bench.data.dataset import Dataset
from bench.data.image_io import IMAGE_SUFFIXES, MASK_SUFFIXES, Source
from bench.data.sources import examination
from bench.data.sources.agreement import agreed
from bench.data.sources.catalog import Entry, entries
from bench.data.sources.examination import Classes, Faults, Pair
from bench.data.sources.layout import Endings, index, keys, listed, matched, root_of
from bench.data.sources.mask_codes import ByKey, MaskCode, Matlab, Values

if TYPE_CHECKING:
    from bench.spec import DataSpec


class Found(NamedTuple):
    splits: Mapping[str, Mapping[str, Pair]]
    code: MaskCode


def load(spec: DataSpec) -> Dataset:
    """Open a published set by its name.

    Raises:
        UsageError: it is not there (with where to get it), or its first fault.
    """
    entry = entries()[spec.dataset]
    try:
        root = root_of(spec.dataset, spec.root)
    except UsageError as error:
        raise UsageError(f"{error}; {how_to_get(entry)}") from None
    faults = Faults(spec.on_error == "stop")
    found = find(root, spec.dataset, faults)
    return checked(root, spec, entry, examination.examine(found.splits, found.code, faults))


def find(root: Path, name: str, faults: Faults) -> Found:
    """The pairs of a published set, and how its masks are read.

    Raises:
        UsageError: it is not there, or its first fault.
    """
    found = _FINDERS[name](root, entries()[name], faults)
    agreed(root, (pair.mask for part in found.splits.values() for pair in part.values()))
    return found


def checked(root: Path, spec: DataSpec, entry: Entry, found: examination.Examined) -> Dataset:
    """The data set of a published set's pairs."""
    examination.in_range(found, len(entry.classes))
    examination.something_left(root, found)
    planned = Path(spec.planned_root or root).name
    name = spec.dataset if spec.name in (None, planned) else str(spec.name)
    notes = examination.absent(root, found, entry.classes)
    return examination.dataset(root, name, found, Classes(entry.classes, entry.colors), notes=notes)


def how_to_get(entry: Entry, by_hand: bool = False) -> str:
    """Where a set comes from and how it has to lie."""
    by_command = f"run `python -m bench.data download {entry.name}`, or " if entry.download and not by_hand else ""
    return f"{by_command}get it from {entry.source}, unpacked as {entry.layout} (licence: {entry.licence})"


def _folder(root: Path, entry: Entry, *choices: str) -> str:
    """The first of these folders that is there.

    Raises:
        UsageError: none is.
    """
    for choice in choices:
        if (root / choice).is_dir():
            return choice
    raise UsageError(f"{root}: no folder {choices[0]}/, so this is not {entry.name}; {how_to_get(entry)}")


# --- Oxford-IIIT Pet -------------------------------------------------------------------------------------------------

PET, BACKGROUND, BORDER = 1, 2, 3
_TRIMAPS = {
    "oxford_pets": Values({PET: 0, BACKGROUND: 1, BORDER: 2}),
    "oxford_pets_binary": Values({PET: 1, BACKGROUND: 0, BORDER: IGNORE_INDEX}),
}


def pets_code(entry: Entry, breeds: Mapping[str, int]) -> MaskCode:
    """How the trimaps of a variant are read; `breeds` gives 1..37 for each key."""
    if entry.name in _TRIMAPS:
        return _TRIMAPS[entry.name]
    codes = {breed: Values({PET: breed, BACKGROUND: 0, BORDER: IGNORE_INDEX}) for breed in sorted(set(breeds.values()))}
    return ByKey({key: codes[breed] for key, breed in breeds.items()})


def pets_splits(trainval: Mapping[str, Pair], test: Mapping[str, Pair]) -> dict[str, dict[str, Pair]]:
    """Of the published trainval every fifth picture of each breed is for validation, by number."""

    def number(key: str) -> int:
        digits = re.search(r"\d+$", key)
        return int(digits.group()) if digits else 0

    by_breed: dict[str, list[str]] = {}
    for key in sorted(trainval, key=number):
        by_breed.setdefault(key.rpartition("_")[0], []).append(key)
    val = {key for names in by_breed.values() for key in names[4::5]}
    return {
        "train": {key: pair for key, pair in trainval.items() if key not in val},
        "val": {key: pair for key, pair in trainval.items() if key in val},
        "test": dict(test),
    }


def _pets(root: Path, entry: Entry, faults: Faults) -> Found:
    if (root / "oxford_iiit_pet").is_dir() or any(root.glob("oxford_iiit_pet-*.tfrecord-*")):
        from bench.data.sources.tfrecords import pets

        return pets(root, entry, faults)
    _folder(root, entry, "annotations/trimaps")
    images = index(root, _folder(root, entry, "images"), IMAGE_SUFFIXES, faults)
    # The archive has macOS's ._NAME.png beside the trimaps; `index` leaves hidden files out.
    masks = index(root, "annotations/trimaps", MASK_SUFFIXES, faults)
    folders = root / "images", root / "annotations/trimaps"
    breeds: dict[str, int] = {}
    found = {}
    for split in ("trainval", "test"):
        path = root / "annotations" / f"{split}.txt"
        chosen = {}
        for place, line in keys(path, faults):
            key, *numbers = line.split()
            if not numbers or not numbers[0].isdigit() or not 1 <= int(numbers[0]) <= 37:
                faults.add(f"{place}: {line!r}: expected NAME BREED SPECIES ID, the breed in 1..37")
                continue
            breeds[key] = int(numbers[0])
            chosen[key] = place
        missing = [key for key in chosen if key not in images or key not in masks]
        for key in missing:
            kind, folder = ("image", folders[0]) if key not in images else ("mask", folders[1])
            faults.add(f"{chosen[key]}: no {kind} for key {key!r} in {folder}")
        found[split] = {key: Pair(images[key], masks[key]) for key in chosen if key not in missing}
    return Found(pets_splits(found["trainval"], found["test"]), pets_code(entry, breeds))


# --- PASCAL VOC ------------------------------------------------------------------------------------------------------


def _voc(root: Path, entry: Entry, faults: Faults) -> Found:
    base = root if (root / "JPEGImages").is_dir() else root / _folder(root, entry, "VOCdevkit/VOC2012", "VOC2012")
    images, masks = (
        index(root, str((base / name).relative_to(root)), suffixes, faults)
        for name, suffixes in (("JPEGImages", IMAGE_SUFFIXES), ("SegmentationClass", MASK_SUFFIXES))
    )
    folders = base / "JPEGImages", base / "SegmentationClass"
    splits = {
        split: listed(base / "ImageSets/Segmentation" / f"{split}.txt", images, masks, folders, faults)
        for split in ("train", "val")
    }
    if entry.name == "voc2012":
        return Found(splits, Values())
    boundaries = _sbd(root, entry, faults)
    # trainaug: all that either set has, less what validates. Where both have a mask, VOC's own is finer.
    extra = {key: pair for key, pair in boundaries.items() if key not in splits["train"] and key not in splits["val"]}
    return Found({"train": {**splits["train"], **extra}, "val": splits["val"]}, _ByEnding())


def _sbd(root: Path, entry: Entry, faults: Faults) -> dict[str, Pair]:
    base = _folder(root, entry, "benchmark_RELEASE/dataset", "dataset")
    images, masks = index(root, f"{base}/img", IMAGE_SUFFIXES, faults), index(root, f"{base}/cls", (".mat",), faults)
    folders = root / base / "img", root / base / "cls"
    return {
        key: pair
        for split in ("train", "val")
        for key, pair in listed(root / base / f"{split}.txt", images, masks, folders, faults).items()
    }


class _ByEnding:
    """A MATLAB file or a picture of ids."""

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return (Matlab() if source.name.endswith(".mat") else Values())(source, data)

    def __str__(self) -> str:
        return "values or matlab"


# --- streets ---------------------------------------------------------------------------------------------------------


def _camvid(root: Path, entry: Entry, faults: Faults) -> Found:
    if (root / "masks").is_dir():
        images, masks = index(root, "images", IMAGE_SUFFIXES, faults), index(root, "masks", MASK_SUFFIXES, faults)
        names = ["train", "val", *(["test"] if (root / "test.txt").is_file() else [])]
        folders = root / "images", root / "masks"
        splits = {split: listed(root / f"{split}.txt", images, masks, folders, faults) for split in names}
    else:
        splits = {
            split: _side_by_side(root, entry, split, f"{split}annot", faults) for split in ("train", "val", "test")
        }
    ids = range(len(entry.classes))
    return Found(
        splits, Values({**dict(zip(ids, ids, strict=True)), len(ids): IGNORE_INDEX, IGNORE_INDEX: IGNORE_INDEX})
    )


def _side_by_side(root: Path, entry: Entry, images: str, masks: str, faults: Faults) -> dict[str, Pair]:
    folders = _folder(root, entry, images), _folder(root, entry, masks)
    return matched(
        index(root, folders[0], IMAGE_SUFFIXES, faults), index(root, folders[1], MASK_SUFFIXES, faults),
        folders, root, faults,
    )  # fmt: skip


# The official id of each class in turn (cityscapesScripts, labels.py); the other ids up to 33 are void, and so is the
# licence plate, id -1, which a byte holds as 255.
_CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def _cityscapes(root: Path, entry: Entry, faults: Faults) -> Found:
    """The official ids, or where there are none those to train with, as the scripts of Cityscapes write them."""
    splits = {}
    by_train_ids = not any((root / "gtFine").rglob("*_gtFine_labelIds.png")) and any(
        (root / "gtFine").rglob("*_gtFine_labelTrainIds.png")
    )
    endings = Endings("_leftImg8bit", "_gtFine_labelTrainIds" if by_train_ids else "_gtFine_labelIds")
    for split in ("train", "val"):  # the labels of test are not public
        folders = _folder(root, entry, f"leftImg8bit/{split}"), _folder(root, entry, f"gtFine/{split}")
        images = index(root, folders[0], IMAGE_SUFFIXES, faults, endings.image)
        masks = index(root, folders[1], MASK_SUFFIXES, faults, endings.mask)
        splits[split] = matched(images, masks, folders, root, faults, endings)
    if by_train_ids:
        ids = (*range(len(entry.classes)), IGNORE_INDEX)
        return Found(splits, Values(dict(zip(ids, ids, strict=True))))
    table = dict.fromkeys((*range(34), IGNORE_INDEX), IGNORE_INDEX) | {
        value: index for index, value in enumerate(_CITYSCAPES)
    }
    return Found(splits, Values(table))


# --- scenes of all kinds ---------------------------------------------------------------------------------------------


def _ade20k(root: Path, entry: Entry, faults: Faults) -> Found:
    base = "" if (root / "annotations").is_dir() else _folder(root, entry, "ADEChallengeData2016") + "/"
    splits = {
        split: _side_by_side(root, entry, f"{base}images/{folder}", f"{base}annotations/{folder}", faults)
        for split, folder in (("train", "training"), ("val", "validation"))
    }
    # 0 is what is none of the classes.
    return Found(splits, Values({0: IGNORE_INDEX} | {value: value - 1 for value in range(1, len(entry.classes) + 1)}))


def _coco_stuff(root: Path, entry: Entry, faults: Faults) -> Found:
    splits = {}
    for split in ("train", "val"):
        name = f"{split}2017"
        images = _folder(root, entry, f"images/{name}", name)
        masks = _folder(root, entry, f"stuffthingmaps/{name}", f"annotations/{name}")
        splits[split] = matched(
            index(root, images, IMAGE_SUFFIXES, faults), index(root, masks, MASK_SUFFIXES, faults),
            (images, masks), root, faults,
        )  # fmt: skip
    values = [value for value in range(len(entry.classes) + len(entry.absent)) if value not in entry.absent]
    return Found(splits, Values({value: index for index, value in enumerate(values)} | {IGNORE_INDEX: IGNORE_INDEX}))


_FINDERS: dict[str, Callable[[Path, Entry, Faults], Found]] = {
    "oxford_pets": _pets,
    "oxford_pets_binary": _pets,
    "oxford_pets_breeds": _pets,
    "voc2012": _voc,
    "voc2012_sbd": _voc,
    "camvid": _camvid,
    "cityscapes": _cityscapes,
    "ade20k": _ade20k,
    "coco_stuff": _coco_stuff,
}
