"""Load published data sets in the layouts in which their sources distribute them, with their official ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.core import IGNORE_INDEX, UsageError
from bench.data.dataset import Dataset
from bench.data.image_io import IMAGE_SUFFIXES, MASK_SUFFIXES, Source
from bench.data.sources import examination, slices
from bench.data.sources.agreement import agreed
from bench.data.sources.catalog import Entry, entries
from bench.data.sources.examination import Classes, Faults, Pair
from bench.data.sources.layout import Endings, has_entry, index, keys, listed, matched, root_of
from bench.data.sources.mask_codes import ByKey, MaskCode, Matlab, Values
from bench.data.sources.set_notes import absent

if TYPE_CHECKING:
    from bench.spec import DataSpec


class Found(NamedTuple):
    """The pairs of a published data set by split and key, and how its masks are read."""

    splits: Mapping[str, Mapping[str, Pair]]
    code: MaskCode


def load(spec: DataSpec) -> Dataset:
    """Open a published data set by its name, `spec.dataset`.

    Raises:
        UsageError: it is not found (the message says where to get it), or the first fault. With `spec.on_error` skip:
            only a fault of the data set as a whole.
    """
    entry = entries()[spec.dataset]
    try:
        root = root_of(spec.dataset, spec.root)
    except UsageError as error:
        raise UsageError(f"{error}; {how_to_get(entry)}") from None
    faults = Faults(spec.on_error == "stop")
    found = find(root, spec.dataset, faults)
    dataset = checked(root, spec, entry, examination.examine(found.splits, found.code, faults))
    return slices.with_file(dataset, root, {key for pairs in found.splits.values() for key in pairs})


def find(root: Path, name: str, faults: Faults) -> Found:
    """Return the pairs of a published data set, and how its masks are read.

    Raises:
        UsageError: it is not found, the first fault (if faults stop), or masks that disagree on their ids.
    """
    found = _FINDERS[name](root, entries()[name], faults)
    agreed(root, (pair.mask for part in found.splits.values() for pair in part.values()))
    return found


def checked(root: Path, spec: DataSpec, entry: Entry, found: examination.Examined) -> Dataset:
    """Return the data set of the examined pairs of a published data set.

    Raises:
        UsageError: a class id out of range, if faults stop, or an empty split.
    """
    examination.in_range(found, len(entry.classes))
    examination.something_left(root, found)
    planned = Path(spec.planned_root or root).name
    name = spec.dataset if spec.name in (None, planned) else str(spec.name)
    notes = absent(root, found, entry.classes)
    return examination.dataset(root, name, found, Classes(entry.classes, entry.colors), notes=notes)


def how_to_get(entry: Entry, by_hand: bool = False) -> str:
    """Return words that say where to get a data set, how its folders have to be arranged, and its licence.

    Args:
        by_hand: whether to leave out the command that downloads it.
    """
    by_command = f"run `python -m bench.data download {entry.name}`, or " if entry.download and not by_hand else ""
    return f"{by_command}get it from {entry.source}, unpacked as {entry.layout} (licence: {entry.licence})"


def _folder(root: Path, entry: Entry, *choices: str) -> str:
    """Return the first of these folders that exists below `root`.

    Raises:
        UsageError: none exists.
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
    """Return how the trimaps of a variant of Oxford-IIIT Pet are read. `breeds` maps each key to its breed, 1..37."""
    if entry.name in _TRIMAPS:
        return _TRIMAPS[entry.name]
    codes = {breed: Values({PET: breed, BACKGROUND: 0, BORDER: IGNORE_INDEX}) for breed in sorted(set(breeds.values()))}
    return ByKey({key: codes[breed] for key, breed in breeds.items()})


def pets_splits(trainval: Mapping[str, Pair], test: Mapping[str, Pair]) -> dict[str, dict[str, Pair]]:
    """Return the splits train, val and test.

    The validation split is every fifth image of each breed in the published trainval, in numeric order.
    """

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
    # The archive contains macOS's ._NAME.png files beside the trimaps; `index` ignores hidden files.
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
    # trainaug: the images of both data sets except VOC's val. If both have a mask, VOC's own is taken, as it is finer.
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
    """Masks that are MATLAB files (.mat) or images of class ids."""

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return (Matlab() if source.name.endswith(".mat") else Values())(source, data)

    def __str__(self) -> str:
        return "values or matlab"


# --- streets ---------------------------------------------------------------------------------------------------------


def _camvid(root: Path, entry: Entry, faults: Faults) -> Found:
    if (root / "masks").is_dir():
        images, masks = index(root, "images", IMAGE_SUFFIXES, faults), index(root, "masks", MASK_SUFFIXES, faults)
        names = ["train", "val", *(["test"] if has_entry(root / "test.txt") else [])]
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


# The official id of each class, in order (cityscapesScripts, labels.py). The other ids up to 33 are void. So is the
# licence plate: its id -1 is 255 as a byte.
_CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def _cityscapes(root: Path, entry: Entry, faults: Faults) -> Found:
    """Read masks of official ids (labelIds); if there are none, the training ids that Cityscapes' scripts write."""
    splits = {}
    by_train_ids = not any((root / "gtFine").rglob("*_gtFine_labelIds.png")) and any(
        (root / "gtFine").rglob("*_gtFine_labelTrainIds.png")
    )
    endings = Endings("_leftImg8bit", "_gtFine_labelTrainIds" if by_train_ids else "_gtFine_labelIds")
    for split in ("train", "val"):  # the test labels are not public
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
    # 0 marks pixels of no class.
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
