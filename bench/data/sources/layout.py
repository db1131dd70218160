"""Find and pair files under a root folder. Every file has to lie inside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from bench.core import UsageError
from bench.data.image_io import IMAGE_SUFFIXES, MASK_SUFFIXES, Source
from bench.data.sources.derived_files import OTHER_MASK_SUFFIXES, mask_of
from bench.data.sources.examination import Faults, Pair
from bench.data.sources.near_names import NearNames


def root_of(name: str, root: str | None, what: str = "a folder") -> Path:
    """Return the folder of a data set as a resolved path.

    Args:
        name: the data set, named in messages.
        root: the folder as the user gave it; None if not given.
        what: words for what is needed, in messages.

    Raises:
        UsageError: no folder was given, it does not exist, or it is a file.
    """
    if root is None:
        raise UsageError(f"dataset {name!r} needs {what}: give data.root (--data-root PATH)")
    path = Path(root).expanduser()
    if (shown := plain_name(path.absolute())) != str(path.absolute()):
        raise UsageError(f"data.root {shown}: the name of the folder is not UTF-8; rename it")
    if path.is_file():
        raise UsageError(f"data.root {root}: a file; if it is an archive, unpack it and name the folder")
    if not path.is_dir():
        raise UsageError(f"data.root {root}: no such folder")
    return path.resolve()


def has_entry(path: Path) -> bool:
    """Return whether a folder has an entry of this name, be it a link to nothing.

    Asked for what may be absent: a list whose link is broken is a fault for its reader, and not the absence of a list.
    """
    return os.path.lexists(path)


def text_of(path: Path) -> str:
    """Return the text of a file in UTF-8, without the byte order mark that some editors write.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = "a link to what is not there" if path.is_symlink() and not path.exists() else error.strerror or error
        raise UsageError(f"{path}: cannot be read ({why})") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot be read as text ({error}); save it as UTF-8") from None


def keys(path: Path, faults: Faults) -> Iterator[tuple[str, str]]:
    """Yield (place, key) for every non-empty line of a split file. `place` is its file and line number, for messages.

    An image suffix is removed from the key. A key that leaves the data folder is a fault.

    Raises:
        UsageError: the file does not exist or is not UTF-8 text.
    """
    if not has_entry(path):
        raise UsageError(f"{path}: no such split file; it lists one key (image name without ending) per line")
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if not (key := line.strip()):
            continue
        place = f"{path}, line {number}"
        if fault := _no_key(key):
            faults.add(f"{place}: key {key!r} {fault}")
            continue
        yield place, key_of(key)


def _no_key(line: str) -> str:
    """Return why a line of a split file is no key; empty if it may be one."""
    windows = PureWindowsPath(line)
    if PurePosixPath(line).is_absolute() or ".." in windows.parts or ("\\" in line and windows.anchor):
        return "leaves the data folder; a key is the path of an image below its folder, without '..'"
    if "\\" in line:
        return f"has backslashes, as Windows writes paths; write {windows.as_posix()!r}"
    return ""


def key_of(name: str) -> str:
    """Return the key of an image that a list names, with or without an image suffix."""
    path = PurePosixPath(name)
    return str(path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path)


def line_of(key: str) -> str:
    """Return the text by which a list names a key, so that `key_of` returns the key again.

    A key that looks like a file, such as "a.jpg" of "a.jpg.jpg", gets an image suffix, which is removed when the list
    is read. So does a key that ends in a space.

    Raises:
        UsageError: no line can name the key.
    """
    line = key if key_of(key) == key == key.rstrip() else f"{key}.png"
    if line.splitlines() != [line] or line != line.strip() or _no_key(line):
        raise UsageError(f"image {key!r}: a list of keys, one per line, cannot hold this name; rename the file")
    return line


def index(root: Path, folder: str, suffixes: tuple[str, ...], faults: Faults, ending: str = "") -> dict[str, Path]:
    """Return the files with these suffixes under a folder by key, sorted. A file outside the root is a fault.

    The key is the path below the folder without the suffix. Hidden files and folders, such as the .ipynb_checkpoints/
    of notebooks, are ignored.

    Args:
        suffixes: lower-case file suffixes, with the dot.
        ending: end of the name before its suffix. Only such files are taken, and it is not part of the key.
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
    """Return whether a file may be read; if not, a fault is added.

    It lies under the root, links followed. Its name is UTF-8, because lists, shards and records hold it as text.
    """
    if (name := plain_name(path)) != str(path):
        faults.add(f"{name}: the file name is not UTF-8; rename it")
        return False
    target = path.resolve()
    if not target.is_relative_to(root):
        faults.add(f"{path}: links to {target}, outside the data folder; copy the file in")
        return False
    return True


def plain_name(path: Path) -> str:
    """Return a path as text in UTF-8. Bytes that are none, as of archives packed elsewhere, are written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Endings(NamedTuple):
    """The text between the key and the suffix in the file names of images and of masks."""

    image: str = ""
    mask: str = ""

    def of_mask(self, key: str) -> str:
        """Return the name of the mask of a key, without suffix. The key may end in the ending of images."""
        return key.removesuffix(self.image) + self.mask


PLAIN = Endings()


class Masks(NamedTuple):
    """The masks of a folder by the keys of their images, their endings, and a note if mask names have an ending."""

    files: dict[str, Source]
    endings: Endings
    notes: tuple[str, ...]


def masks_of(
    root: Path, folder: str, images: Mapping[str, Path], faults: Faults, black_and_white: bool = False
) -> Masks:
    """Find the masks of images.

    A mask has the name of its image. All masks may have a common ending (`0_mask`), and so may all images (`0_sat`). An
    image without a lossless mask may have an array (.npy), or a JPEG, which is read as black and white or refused.

    Args:
        black_and_white: whether JPEG masks may be read by a threshold.

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
        (key, image), mask = next(iter(images.items())), next(iter(masks.values()))
        near = NearNames(root, folder, (*MASK_SUFFIXES, *OTHER_MASK_SUFFIXES)).instead_of(key)
        raise UsageError(
            f"{root / folder}: no mask belongs to an image by its name ({mask.name} is none of {image.name}); "
            f"{near or 'give each the name of its image, all with the same ending or without'}"
        )
    theirs = endings.mask
    notes = (f"{root / folder}: all masks end in {theirs!r}, which is not part of the key",) if theirs else ()
    return Masks({key: mask_of(path, black_and_white) for key, path in sorted(masks.items())}, endings, notes)


def _endings(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Endings:
    """Return the common endings of images and masks without which most names agree; empty if names agree already."""
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
    masks: Mapping[str, Source], images: Mapping[str, Path], root: Path, folder: str, faults: Faults, endings: Endings
) -> None:
    """Report masks without an image as faults. `folder` is the image folder below `root`."""
    near = NearNames(root, folder, IMAGE_SUFFIXES)
    for key, path in masks.items():
        if key not in images and key not in faults.refused:
            name = key + endings.image
            todo = near.instead_of(name) or f"add one named {name!r} to {folder}/ or remove this file"
            faults.add(f"{path}: mask without an image; {todo}")


def all_masked(
    images: Mapping[str, Path], masks: Mapping[str, Source], root: Path, folder: str, faults: Faults, endings: Endings
) -> None:
    """Report images without a mask as faults. `folder` is the mask folder below `root`."""
    near = NearNames(root, folder, (*MASK_SUFFIXES, ".npy"))
    for key, path in images.items():
        if key not in masks and key not in faults.refused:
            name = endings.of_mask(key)
            todo = near.instead_of(name) or f"add one named {name!r} to {folder}/ or remove this file"
            faults.add(f"{path}: image without a mask; {todo}")


def listed(
    path: Path,
    images: Mapping[str, Path],
    masks: Mapping[str, Source],
    folders: tuple[Path, Path],
    faults: Faults,
    endings: Endings = PLAIN,
) -> dict[str, Pair]:
    """Return the pairs whose keys a split file lists, in its order.

    A key without image or mask, or listed twice, is a fault and is skipped, so the result may be empty.

    Args:
        folders: of images and of masks, named in messages.

    Raises:
        UsageError: the file lists no key, or the first fault, if faults stop.
    """
    pairs: dict[str, Pair] = {}
    earlier = len(faults.found)
    if not (wanted := list(keys(path, faults))):
        empty = f"{path}: the split is empty; list one key per line"
        raise UsageError(faults.found[earlier] if len(faults.found) > earlier else empty)
    for place, key in wanted:
        if key in faults.refused:
            continue
        if key not in images:
            faults.add(f"{place}: no image for key {key!r} in {folders[0]}{_meant(key, images)}")
        elif key not in masks:
            faults.add(f"{images[key]}: image without a mask; expected {folders[1] / endings.of_mask(key)}.png")
        elif key in pairs:
            faults.add(f"{place}: key {key!r} occurs twice in this split; keep one")
        else:
            pairs[key] = Pair(images[key], masks[key])
    return pairs


def _meant(line: str, images: Mapping[str, Path]) -> str:
    """Return which key a line of a split file means if it names a path, or an image and its mask, as other tools do."""
    parts = PurePosixPath(line.split()[0]).parts
    for at in range(len(parts)):
        if (key := key_of("/".join(parts[at:]))) in images:
            return f"; write {key!r}: the path below that folder, without ending, alone in its line"
    return ""


def matched(
    images: Mapping[str, Path],
    masks: Mapping[str, Source],
    folders: tuple[str, str],
    root: Path,
    faults: Faults,
    endings: Endings = PLAIN,
) -> dict[str, Pair]:
    """Return all pairs of two folders, matched by name.

    An image without a mask, or a mask without an image, is a fault and is skipped, so the result may be empty.

    Args:
        folders: of images and of masks, relative to `root`, named in messages.

    Raises:
        UsageError: there are no images, or the first fault, if faults stop.
    """
    if not images:
        raise UsageError(f"{root / folders[0]}: the split is empty; put images in it")
    all_masked(images, masks, root, folders[1], faults, endings)
    all_pictured(masks, images, root, folders[0], faults, endings)
    return {key: Pair(path, masks[key]) for key, path in images.items() if key in masks}
