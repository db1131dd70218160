"""Read public data sets as unpacked: Cityscapes, ADE20K, CamVid, Oxford-IIIT Pet, COCO-Stuff, Mapillary Vistas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.core import IGNORE_INDEX, UsageError
from bench.data.image_io import IMAGE_SUFFIXES, MASK_SUFFIXES
from bench.data.sources.catalog import entries
from bench.data.sources.classes import Declared
from bench.data.sources.examination import Classes
from bench.data.sources.exports.common import Export, Layout, Pairs, Request, json_of
from bench.data.sources.layout import index, matched
from bench.data.sources.mask_codes import Values
from bench.data.sources.public import find


def _named(name: str) -> Callable[[Path, Request], Export]:
    """Return the reader of a data set that the catalog knows by this name."""

    def read(root: Path, request: Request) -> Export:
        entry = entries()[name]
        found = find(root, name, request.faults)
        return Export(found.splits, Declared(Classes(entry.classes, entry.colors), None), found.code)

    return read


def _folders(*names: str) -> Callable[[Path], bool]:
    return lambda root: all((root / name).is_dir() for name in names)


def _ade20k(root: Path) -> bool:
    bases = root, root / "ADEChallengeData2016"
    return any(_folders("images/training", "annotations/training")(base) for base in bases)


def _full_ade20k(root: Path) -> bool:
    bases = (root / below for below in ("", "ADE20K_2021_17_01", "ADE20K_2016_07_26"))
    return any((base / part).is_dir() for base in bases for part in ("images/ADE/training", "images/training/a"))


def _refuse_full_ade20k(root: Path, request: Request) -> Export:
    raise UsageError(
        f"{root}: this is the full ADE20K, whose masks name more than 3000 classes, too many for 8 bits; take its "
        "scene parsing benchmark with 150 classes (ADEChallengeData2016)"
    )


# --- Mapillary Vistas ------------------------------------------------------------------------------------------------

_VERSIONS = ("v2.0", "v1.2")
_VISTAS = {"train": "training", "val": "validation"}  # the test labels are not public


def _vistas(root: Path, request: Request) -> Export:
    """Read Mapillary Vistas by its config file.

    The position of a label in the config is its value in the masks. Labels that are not evaluated are void.
    """
    version = next((one for one in _VERSIONS if (root / "training" / one / "labels").is_dir()), "")
    config = next((path for path in _configs(root) if version in path.name or path.name == "config.json"), None)
    if config is None:
        raise UsageError(f"{root}: no config_{version}.json for training/{version}/labels; unpack it again")
    try:
        rows = [
            (str(row["readable"]), str(row["name"]), tuple(row["color"]), bool(row["evaluate"]))
            for row in json_of(config)["labels"]
        ]
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{config}: no labels with readable, name, color and evaluate ({error}); unpack it again"
        ) from None
    kept = [value for value, row in enumerate(rows) if row[3]]
    table = dict.fromkeys((*range(len(rows)), IGNORE_INDEX), IGNORE_INDEX) | {
        value: index for index, value in enumerate(kept)
    }
    splits: dict[str, Pairs] = {}
    for split, folder in _VISTAS.items():
        folders = f"{folder}/images", f"{folder}/{version}/labels" if version else f"{folder}/labels"
        images = index(root, folders[0], IMAGE_SUFFIXES, request.faults)
        masks = index(root, folders[1], MASK_SUFFIXES, request.faults)
        splits[split] = matched(images, masks, folders, root, request.faults)
    readable, full = (tuple(rows[value][part] for value in kept) for part in (0, 1))
    names = readable if len(set(readable)) == len(readable) else full
    colors = tuple(rows[value][2] for value in kept)
    void = len(rows) - len(kept)
    note = f"{root}: {version or 'labels'} of {config.name}; not evaluated (void): {void} of {len(rows)} labels"
    return Export(splits, Declared(Classes(names, colors), None), Values(table), (note,))  # type: ignore[arg-type]


def _configs(root: Path) -> list[Path]:
    return sorted(root.glob("config*.json"), reverse=True)


LAYOUTS = (
    Layout(
        "Cityscapes (cityscapes)",
        _folders("leftImg8bit", "gtFine"),
        _named("cityscapes"),
    ),
    Layout(
        "ADE20K scene parsing (ade20k)",
        _ade20k,
        _named("ade20k"),
    ),
    Layout("the full ADE20K", _full_ade20k, _refuse_full_ade20k, wanted=False),
    Layout("CamVid (camvid)", _folders("train", "trainannot"), _named("camvid")),
    Layout(
        "Oxford-IIIT Pet (oxford_pets)",
        _folders("images", "annotations/trimaps"),
        _named("oxford_pets"),
    ),
    Layout(
        "COCO-Stuff (coco_stuff)",
        _folders("images/train2017", "stuffthingmaps"),
        _named("coco_stuff"),
    ),
    Layout(
        "Mapillary Vistas",
        lambda root: (root / "training/images").is_dir() and bool(_configs(root)),
        _vistas,
    ),
)
