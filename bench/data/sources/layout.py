"""Finding and pairing files under a root, which nothing may leave."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bench.core import UsageError
from bench.data.image_io import IMAGE_SUFFIXES, MASK_SUFFIXES, Source
from bench.data.sources.examination import Faults, Pair
from bench.data.sources.made_masks import OTHER_MASK_SUFFIXES, mask_of


def root_of(name: str, root: str | None, what: str = "a folder") -> Path:
    """The resolved folder of a data set.

    Raises:
        UsageError: none given, or none there.
    """
    if root is None:
        raise UsageError(f"dataset {name!r} needs {what}: give data.root (--data-root PATH)")
    path = Path(root).expanduser()
    if path.is_file():
        raise UsageError(f"data.root {root}: a file; unpack it where it is an archive, and name the folder")
    if not path.is_dir():
        raise UsageError(f"data.root {root}: no such folder")
    return path.resolve()


def text_of(path: Path) -> str:
    """A list that a user wrote, without the byte order mark that some editors put before it.

    Raises:
        UsageError: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text ({error}); save it as UTF-8") from None


def keys(path: Path, faults: Faults) -> Iterator[tuple[str, str]]:
    """(place, key) for every filled line of a split file; an image suffix is taken off.

    Raises:
        UsageError: no such file, or no text.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such split file; it lists one key (image name without ending) a line")
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if not (key := line.strip()):
            continue
        place, parts = f"{path}, line {number}", PurePosixPath(key)
        if parts.is_absolute() or ".." in parts.parts or "\\" in key:
            faults.add(f"{place}: key {key!r} leaves the data folder; keys are relative names without '..'")
            continue
        yield place, str(parts.with_suffix("") if parts.suffix.lower() in IMAGE_SUFFIXES else parts)


def index(root: Path, folder: str, suffixes: tuple[str, ...], faults: Faults, ending: str = "") -> dict[str, Path]:
    """Key -> file for all files of a kind under a folder, sorted by key; every file has to lie inside the root.

    Hidden files and folders are left aside, such as the .ipynb_checkpoints/ of notebooks.

    Args:
        ending: end of the name before its suffix; only such files are taken, and it is no part of the key.
    """
    found: dict[str, Path] = {}
    top = root / folder
    for parent, folders, names in os.walk(top):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() not in suffixes or name.startswith(".") or not path.stem.endswith(ending):
                continue
            key = path.relative_to(top).with_suffix("").as_posix()
            key = key[: len(key) - len(ending)]
            if not inside(root, path, faults):
                faults.refused.add(key)
                continue
            if key in found:
                faults.add(f"{path}: a second file for key {key!r} beside {found[key].name}; keep one")
                continue
            found[key] = path
    return dict(sorted(found.items()))


def inside(root: Path, path: Path, faults: Faults) -> bool:
    """Whether a file, links followed, lies under the root; a fault when not."""
    target = path.resolve()
    if not target.is_relative_to(root):
        faults.add(f"{path}: links to {target}, outside the data folder; copy the file in")
        return False
    return True


class Endings(NamedTuple):
    """What follows the key in the names of images and of masks, before the suffix."""

    image: str = ""
    mask: str = ""

    def of_mask(self, key: str) -> str:
        """The name of the mask of a key, which may have the ending of images already."""
        return key.removesuffix(self.image) + self.mask


PLAIN = Endings()


class Masks(NamedTuple):
    """The masks of a folder by the keys of their images, and a note where their names have an ending of their own."""

    files: dict[str, Source]
    endings: Endings
    notes: tuple[str, ...]


def masks_of(
    root: Path, folder: str, images: Mapping[str, Path], faults: Faults, black_and_white: bool = False
) -> Masks:
    """Find the masks of images.

    Masks are called as their images, or all end alike (`0_mask`), and so may the images (`0_sat`). Where no lossless
    file is, an array is read, and a JPEG as far as it can be.

    Raises:
        UsageError: no mask belongs to an image.
    """
    exact = index(root, folder, MASK_SUFFIXES, faults)
    others = index(root, folder, OTHER_MASK_SUFFIXES, faults)
    endings = _endings(images, exact or others)
    by_base = {key.removesuffix(endings.image): key for key in images}

    def owner(key: str) -> str:
        base = key.removesuffix(endings.mask)
        return by_base.get(base, base)

    masks = {owner(key): path for key, path in exact.items()}
    for key, path in others.items():
        if not exact or (owner(key) in images and owner(key) not in masks):
            masks[owner(key)] = path
    faults.refused |= {owner(key) for key in faults.refused}
    if images and masks and not set(images) & set(masks):
        image, mask = next(iter(images.values())), next(iter(masks.values()))
        raise UsageError(
            f"{root / folder}: no mask belongs to an image by its name ({mask.name} is none of {image.name}); give "
            "each the name of its image, all with the same ending or without"
        )
    theirs = endings.mask
    notes = (f"{root / folder}: all masks end in {theirs!r}, which is no part of the key",) if theirs else ()
    return Masks({key: mask_of(path, black_and_white) for key, path in sorted(masks.items())}, endings, notes)


def _endings(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Endings:
    """The ending that all images have, and that all masks have, where only without them the names agree."""
    if set(images) & set(masks):
        return Endings()

    def choices(keys: Mapping[str, Path]) -> list[str]:
        shortest = min(keys, key=len, default="")
        parts = (shortest[at:] for at in range(len(shortest)) if shortest[at] in "_-. ")
        return ["", *(part for part in parts if all(key.endswith(part) for key in keys))]

    def agree(one: Endings) -> int:
        return len({key.removesuffix(one.image) for key in images} & {key.removesuffix(one.mask) for key in masks})

    return max((Endings(a, b) for a in choices(images) for b in choices(masks)), key=agree)


def all_pictured(
    masks: Mapping[str, Source], images: Mapping[str, Path], folder: str, faults: Faults, endings: Endings
) -> None:
    """Every mask has an image in that folder."""
    for key, path in masks.items():
        if key not in images and key not in faults.refused:
            name = key + endings.image
            faults.add(f"{path}: mask without an image; add one named {name!r} to {folder}/ or remove this file")


def all_masked(
    images: Mapping[str, Path], masks: Mapping[str, Source], folder: str, faults: Faults, endings: Endings
) -> None:
    """Every image has a mask in that folder."""
    for key, path in images.items():
        if key not in masks and key not in faults.refused:
            name = endings.of_mask(key)
            faults.add(f"{path}: image without a mask; add one named {name!r} to {folder}/ or remove this file")


def listed(
    path: Path,
    images: Mapping[str, Path],
    masks: Mapping[str, Source],
    folders: tuple[Path, Path],
    faults: Faults,
    endings: Endings = PLAIN,
) -> dict[str, Pair]:
    """The pairs whose keys a split file lists, in its order.

    Raises:
        UsageError: it lists no key. What is left of those that it lists may be none.
    """
    pairs: dict[str, Pair] = {}
    if not (wanted := list(keys(path, faults))):
        raise UsageError(f"{path}: the split is empty; list one key a line")
    for place, key in wanted:
        if key in faults.refused:
            continue
        if key not in images:
            faults.add(f"{place}: no image for key {key!r} in {folders[0]}")
        elif key not in masks:
            faults.add(f"{images[key]}: image without a mask; expected {folders[1] / endings.of_mask(key)}.png")
        elif key in pairs:
            faults.add(f"{place}: key {key!r} stands twice in this split; keep one")
        else:
            pairs[key] = Pair(images[key], masks[key])
    return pairs


def matched(
    images: Mapping[str, Path],
    masks: Mapping[str, Source],
    folders: tuple[str, str],
    root: Path,
    faults: Faults,
    endings: Endings = PLAIN,
) -> dict[str, Pair]:
    """All pairs of two folders by name.

    Raises:
        UsageError: there are no images. Those that have a mask may be none.
    """
    if not images:
        raise UsageError(f"{root / folders[0]}: the split is empty; put images in it")
    all_masked(images, masks, folders[1], faults, endings)
    all_pictured(masks, images, folders[0], faults, endings)
    return {key: Pair(path, masks[key]) for key, path in images.items() if key in masks}
