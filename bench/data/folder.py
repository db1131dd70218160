"""Any segmentation set in a local folder, in one of two layouts; see docs/data.md for the rules and the error table.

`images/KEY.*` + `masks/KEY.png` with `train.txt`, `val.txt` (and `test.txt`), or `Train_Images/`, `Train_Masks/`,
`Val_Images/`, ... with files paired by name.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml
from PIL import Image, ImageColor, ImageOps

from bench.data import palette
from bench.data.dataset import VOID, Dataset, Pair, Split
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.spec import DataSpec

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (".png", ".bmp", ".gif", ".tif", ".tiff")  # lossless only: JPEG invents class ids
_EXIF_ORIENTATION = 0x0112


class Files(NamedTuple):
    image: Path
    mask: Path


class Declared(NamedTuple):
    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]


def load(spec: DataSpec) -> Dataset:
    """Find, pair, read and check every file of `spec.root`.

    All masks and images are decoded once, in threads; the fingerprint is taken from the same bytes.

    Raises:
        UsageError: the first fault, naming the file and what to do.
    """
    root = _root(spec.root)
    splits = {name: pairs for name, pairs in _pairs(root, spec.masks).items() if name != "test" or pairs}
    _no_shared_keys(splits)
    files = {key: pair for pairs in splits.values() for key, pair in pairs.items()}
    with ThreadPoolExecutor() as pool:
        facts = dict(zip(files, pool.map(_examine, files.values()), strict=True))
    declared = _declared_classes(root)
    found = np.flatnonzero(np.sum([fact.values for fact in facts.values()], axis=0))
    binary = _is_binary(spec.mask_values, {int(value) for value in found}, declared)
    notes = []
    if binary and spec.mask_values == "auto":
        notes.append(
            f"{root}: the masks hold only 0 and 255, read as background and foreground; "
            "if 255 is void there, set data.mask_values=ids"
        )
    classes = declared or _classes_found(found, binary)
    for key, fact in facts.items():
        _in_range(files[key].mask, fact.values, len(classes.names), binary)
    notes += _absent_classes(root, found, classes.names, binary)
    return Dataset(
        name=spec.name or root.name,
        class_names=classes.names,
        colors=classes.colors,
        version=_version(splits, facts),
        splits={name: Split(tuple(pairs), _Reader(files, binary)) for name, pairs in splits.items()},
        notes=tuple(notes),
    )


class _Reader:
    def __init__(self, files: Mapping[str, Files], binary: bool) -> None:
        self.files, self.binary = files, binary

    def __call__(self, key: str) -> Pair:
        pair = self.files[key]
        image = read_image(pair.image)
        label = _decode(pair.mask, _read_mask)
        return image, np.minimum(label, 1) if self.binary else label


# --- finding and pairing -------------------------------------------------------------------------------------------


def _root(root: str | None) -> Path:
    if root is None:
        raise UsageError("dataset 'folder' needs a folder: give data.root (--data-root PATH)")
    path = Path(root).expanduser()
    if not path.is_dir():
        raise UsageError(f"data.root {root}: no such folder")
    return path.resolve()


def _pairs(root: Path, masks: str) -> dict[str, dict[str, Files]]:
    """Split name -> key -> files, in the order of the split file (or sorted by key)."""
    if (root / "Train_Images").is_dir():
        return {
            split.lower(): _folder_split(root, split)
            for split in ("Train", "Val", "Test")
            if split != "Test" or (root / "Test_Images").is_dir()
        }
    for folder in ("images", masks):
        if not (root / folder).is_dir():
            raise UsageError(
                f"{root}: no folder {folder}/; expected images/ + {masks}/ with train.txt and val.txt, "
                "or Train_Images/, Train_Masks/, Val_Images/, Val_Masks/"
            )
    images, found = _index(root, "images", IMAGE_SUFFIXES), _index(root, masks, MASK_SUFFIXES)
    _no_orphans(found, images, masks, "images")
    return {
        split: _listed_split(root, f"{split}.txt", images, found, masks)
        for split in ("train", "val", "test")
        if split != "test" or (root / "test.txt").exists()
    }


def _folder_split(root: Path, split: str) -> dict[str, Files]:
    names = f"{split}_Images", f"{split}_Masks"
    for name in names:
        if not (root / name).is_dir():
            raise UsageError(f"{root}: no folder {name}/, which this layout needs beside Train_Images/")
    images, masks = _index(root, names[0], IMAGE_SUFFIXES), _index(root, names[1], MASK_SUFFIXES)
    _no_orphans(images, masks, *names)
    _no_orphans(masks, images, *reversed(names))
    if not images:
        raise UsageError(f"{root / names[0]}: the split is empty; put images in it")
    return {f"{key}": Files(images[key], masks[key]) for key in images}


def _listed_split(
    root: Path, name: str, images: Mapping[str, Path], masks: Mapping[str, Path], mask_folder: str
) -> dict[str, Files]:
    pairs: dict[str, Files] = {}
    for place, key in _keys(root / name):
        if key not in images:
            raise UsageError(f"{place}: no image for key {key!r} in {root / 'images'}")
        if key not in masks:
            raise UsageError(f"{images[key]}: image without a mask; expected {root / mask_folder / key}.png")
        if key in pairs:
            raise UsageError(f"{place}: key {key!r} stands twice in this split; keep one")
        pairs[key] = Files(images[key], masks[key])
    if not pairs:
        raise UsageError(f"{root / name}: the split is empty; list one key a line")
    return pairs


def _keys(path: Path) -> Iterator[tuple[str, str]]:
    """(place, key) for every filled line; an image suffix is taken off."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such split file; it lists one key (image name without ending) a line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text ({error})") from None
    for number, line in enumerate(lines, start=1):
        if not (key := line.strip()):
            continue
        place, parts = f"{path}, line {number}", PurePosixPath(key)
        if parts.is_absolute() or ".." in parts.parts or "\\" in key:
            raise UsageError(f"{place}: key {key!r} leaves the data folder; keys are relative names without '..'")
        yield place, str(parts.with_suffix("") if parts.suffix.lower() in IMAGE_SUFFIXES else parts)


def _index(root: Path, folder: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Key -> file for all files of a kind under a folder, sorted by key; every file has to lie inside the root."""
    found: dict[str, Path] = {}
    top = root / folder
    for parent, _, names in os.walk(top):
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() not in suffixes or name.startswith("."):
                continue
            key = path.relative_to(top).with_suffix("").as_posix()
            if not path.resolve().is_relative_to(root):
                raise UsageError(f"{path}: links to {path.resolve()}, outside the data folder; copy the file in")
            if key in found:
                raise UsageError(f"{path}: a second file for key {key!r} beside {found[key].name}; keep one")
            found[key] = path
    return dict(sorted(found.items()))


def _no_orphans(files: Mapping[str, Path], others: Mapping[str, Path], here: str, there: str) -> None:
    for key, path in files.items():
        if key not in others:
            kind, other = ("mask", "an image") if "mask" in here.lower() else ("image", "a mask")
            raise UsageError(f"{path}: {kind} without {other}; add one named {key!r} to {there}/ or remove this file")


def _no_shared_keys(splits: Mapping[str, Mapping[str, Files]]) -> None:
    seen: dict[str, str] = {}
    for split, pairs in splits.items():
        for key, files in pairs.items():
            if key in seen:
                raise UsageError(f"{files.image}: key {key!r} is in {seen[key]} and in {split}; keep it in one split")
            seen[key] = split


# --- reading and checking ------------------------------------------------------------------------------------------


class Facts(NamedTuple):
    values: np.ndarray
    """Pixels a mask value, int64 (256,)."""
    digest: bytes


def _examine(files: Files) -> Facts:
    """Decode both files from one read of their bytes, compare their sizes, count the mask's values."""
    width, height = _decode(files.image, _image_size)
    label = _decode(files.mask, _read_mask)
    if label.shape != (height, width):
        raise UsageError(
            f"{files.mask}: {label.shape[1]}x{label.shape[0]} pixels, but its image {files.image.name} "
            f"is {width}x{height}; they must be the same"
        )
    digest = hashlib.blake2b(files.image.read_bytes(), digest_size=16)
    digest.update(hashlib.blake2b(files.mask.read_bytes(), digest_size=16).digest())
    return Facts(np.bincount(label.ravel(), minlength=256), digest.digest())


def read_image(path: Path) -> np.ndarray:
    """A picture as uint8 RGB (H, W, 3), upright. UsageError when it cannot be read."""
    return np.asarray(_decode(path, _read_image))


def check_image(path: Path) -> None:
    """Decode a picture, a JPEG at 1/8, and forget it. UsageError when it cannot be read."""
    _decode(path, _image_size)


def _decode(path: Path, read: Any) -> Any:
    try:
        return read(Image.open(io.BytesIO(path.read_bytes())), path)
    except UsageError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        reason = "not an image, or of an unknown kind" if isinstance(error, Image.UnidentifiedImageError) else error
        raise UsageError(f"{path}: cannot be read ({reason}); replace or remove the file") from None


def _image_size(image: Image.Image, path: Path) -> tuple[int, int]:
    """Width and height once upright. The whole file is decoded, so that a truncated one is found, a JPEG at 1/8."""
    _eight_bits(image, path)
    size = image.size
    swapped = image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
    image.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
    image.load()
    return size[::-1] if swapped else size


def _read_image(image: Image.Image, path: Path) -> Image.Image:
    _eight_bits(image, path)
    return ImageOps.exif_transpose(image).convert("RGB")


def _eight_bits(image: Image.Image, path: Path) -> None:
    if image.mode.startswith(("I", "F")):
        raise UsageError(f"{path}: more than 8 bits a channel; convert the image to 8 bits")


def _read_mask(image: Image.Image, path: Path) -> np.ndarray:
    """One channel of ids as uint8 (H, W); a palette is left aside, its indices are the ids."""
    if len(image.getbands()) != 1:
        raise UsageError(
            f"{path}: the mask has {len(image.getbands())} channels; it needs one, of class ids (255 = void)"
        )
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > VOID):
        raise UsageError(f"{path}: the mask holds the value {values.max()}; class ids are 0..254, and 255 is void")
    return values.astype(np.uint8)


def _is_binary(mask_values: str, found: set[int], declared: Declared | None) -> bool:
    """Whether 255 is the foreground of a two-class set."""
    two_classes = declared is None or len(declared.names) == 2
    return mask_values == "binary" or (mask_values == "auto" and found == {0, VOID} and two_classes)


def _in_range(path: Path, values: np.ndarray, classes: int, binary: bool) -> None:
    present = np.flatnonzero(values)
    if binary and (wrong := present[(present > 1) & (present < VOID)]).size:
        raise UsageError(
            f"{path}: value {wrong[0]} in a binary mask; it may hold 0, 1 and 255, else set data.mask_values=ids"
        )
    if not binary and (wrong := present[(present >= classes) & (present < VOID)]).size:
        raise UsageError(
            f"{path}: class id {wrong[0]} on {values[wrong[0]]} pixels, but {classes} classes are declared "
            f"(ids 0..{classes - 1}, 255 = void); correct the mask or the class list"
        )


def _absent_classes(root: Path, found: np.ndarray, names: tuple[str, ...], binary: bool) -> list[str]:
    absent = [] if binary else [name for index, name in enumerate(names) if index not in found]
    return [f"{root}: no pixel of {', '.join(absent)} in any mask"] if absent else []


def _version(splits: Mapping[str, Mapping[str, Files]], facts: Mapping[str, Facts]) -> str:
    total = hashlib.blake2b(digest_size=6)
    for split, pairs in sorted(splits.items()):
        for key in sorted(pairs):
            total.update(f"{split}\0{key}\0".encode() + facts[key].digest)
    return total.hexdigest()


# --- classes -------------------------------------------------------------------------------------------------------


def _classes_found(found: np.ndarray, binary: bool) -> Declared:
    if binary:
        return Declared(("background", "foreground"), palette.colors(2))
    count = int(max(found[found < VOID], default=0)) + 1
    return Declared(tuple(f"class_{index}" for index in range(count)), palette.colors(count))


def _declared_classes(root: Path) -> Declared | None:
    """Names (and colours) of classes.yaml, else of classes.txt, else None."""
    path = root / "classes.yaml"
    if path.is_file():
        return _classes_of_yaml(path)
    path = root / "classes.txt"
    if path.is_file():
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        return _distinct(path, names, palette.colors(len(names)))
    return None


def _classes_of_yaml(path: Path) -> Declared:
    """`0: sky`, or `0: {name: sky, color: [70, 130, 180]}` (or "#4682b4"); ids run from 0 without a gap."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(entries, dict):
        raise UsageError(f"{path}: expected lines of `id: name`")
    entries = {key: value for key, value in entries.items() if key != VOID}
    if set(entries) != set(range(len(entries))):
        raise UsageError(f"{path}: class ids must run from 0 to {len(entries) - 1} without a gap (255 is void)")
    spares = palette.colors(len(entries))
    names, colors = [], []
    for index in range(len(entries)):
        entry = entries[index] if isinstance(entries[index], dict) else {"name": entries[index]}
        if set(entry) - {"name", "color"} or not isinstance(entry.get("name"), str | int | bool):
            raise UsageError(f"{path}: class {index} needs `name` and may have `color`, got {entries[index]!r}")
        names.append(str(entry["name"]))
        colors.append(_color(path, index, entry["color"]) if "color" in entry else spares[index])
    return _distinct(path, tuple(names), tuple(colors))


def _color(path: Path, index: int, value: Any) -> tuple[int, int, int]:
    try:
        color = ImageColor.getrgb(value) if isinstance(value, str) else tuple(value)
        if len(color) == 3 and all(type(part) is int and 0 <= part <= 255 for part in color):
            return color[0], color[1], color[2]
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{path}: color {value!r} of class {index}; write [red, green, blue] in 0..255 or '#rrggbb'")


def _distinct(path: Path, names: tuple[str, ...], colors: tuple[tuple[int, int, int], ...]) -> Declared:
    if not 1 <= len(names) <= VOID:
        raise UsageError(f"{path}: {len(names)} classes; it must name 1 to {VOID}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{path}: class name {twice!r} stands twice")
    return Declared(names, colors)
