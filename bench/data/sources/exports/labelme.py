"""Read labelme annotations: one JSON file of shapes per image; https://github.com/wkentaro/labelme."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from bench.core import IGNORE_INDEX, UsageError
from bench.data.image_io import IMAGE_SUFFIXES, Source, decoded
from bench.data.sources import palette
from bench.data.sources.classes import LISTS, Declared, in_order, list_of
from bench.data.sources.derived_files import DerivedFile
from bench.data.sources.examination import Classes, Pair
from bench.data.sources.exports import drawn
from bench.data.sources.exports.common import Export, Layout, Pairs, Request, in_splits, json_of
from bench.data.sources.layout import has_entry, inside
from bench.data.sources.mask_codes import Values

_LOOK = 20  # JSON files that are opened to recognise the layout
_IGNORED, _BACKGROUND = "__ignore__", "_background_"
_KINDS = {
    "polygon": "polygon", "oriented_rectangle": "polygon", "rectangle": "rectangle", "circle": "circle", "line": "line",
    "linestrip": "line", "point": "point",
}  # fmt: skip


def _files(root: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(".json") and name[0] != ".")


def _here(root: Path) -> bool:
    def ours(path: Path) -> bool:
        try:
            return _shapes(path) is not None
        except UsageError:
            return False

    return any(ours(path) for path in islice(_files(root), _LOOK))


def _shapes(path: Path) -> Mapping[str, Any] | None:
    """Return the content of a labelme file; None for other JSON.

    Raises:
        UsageError: it cannot be read.
    """
    found = json_of(path)
    ours = isinstance(found, dict) and isinstance(found.get("shapes"), list) and "imagePath" in found
    return found if ours else None


def _read(root: Path, request: Request) -> Export:
    pairs: dict[str, Pairs] = {}
    labels: dict[str, Path] = {}
    sources: dict[str, tuple[Path, Source]] = {}
    for path in _files(root):
        if not inside(root, path, request.faults):
            continue
        try:
            found = _shapes(path)
        except UsageError as error:
            request.faults.add(str(error))
            continue
        if found is None:
            continue
        if image := _image(root, path, found, request):
            sources[path.relative_to(root).with_suffix("").as_posix()] = path, image
        for shape in found["shapes"]:
            labels.setdefault(str(shape.get("label")) if isinstance(shape, dict) else "", path)
    known, ids = _classes(root, labels)
    draw = _Drawing(tuple(sorted(ids.items())))
    for key, (path, image) in sources.items():
        pairs.setdefault(key.partition("/")[0] if "/" in key else "", {})[key] = Pair(image, DerivedFile(path, draw))
    splits, notes = in_splits(root, pairs, request)
    return Export(splits, known, Values(), notes + _left_aside(root, sources))


def _left_aside(root: Path, sources: Mapping[str, tuple[Path, Source]]) -> tuple[str, ...]:
    """Return a note on images beside the annotated ones that have no annotation."""
    used = {image for _, image in sources.values()}
    folders = {image.parent for image in used if isinstance(image, Path)}
    there = (path for folder in folders for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    count = sum(path not in used for path in there)
    return (f"{root}: images without an annotation, left out: {count}",) if count else ()


def _image(root: Path, path: Path, found: Mapping[str, Any], request: Request) -> Source | None:
    """Return the image of an annotation: the file it names, else a file beside it of its name, else the one within it.

    None, with a fault, if there is no such image or it lies outside the root.
    """
    named = path.parent / PureWindowsPath(str(found["imagePath"])).as_posix()
    beside = (path.with_suffix(suffix) for suffix in IMAGE_SUFFIXES)
    for image in (named, *beside):
        if image.is_file():
            return image if inside(root, image.resolve(), request.faults) else None
    if found.get("imageData"):
        return DerivedFile(path, _embedded)
    request.faults.add(f"{path}: its image {found['imagePath']!r} is neither there nor embedded; put it there")
    return None


def _embedded(path: Path, data: bytes) -> bytes:
    """Return the encoded bytes of the image embedded in a labelme file.

    Raises:
        UsageError: the file or the image in it cannot be read.
    """
    return _decoded(path, json_of(path, data)["imageData"])


def _decoded(path: Path, text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise UsageError(f"{path}: its embedded image cannot be read ({error}); save it again with labelme") from None


def _classes(root: Path, labels: Mapping[str, Path]) -> tuple[Declared, dict[str, int]]:
    """Return the class list, and the id of each label.

    The class list is a list in the folder, else labels.txt beside the folder, else all labels in alphabetical order.
    Pixels without a shape are `_background_`; it is class 0 unless a list gives it another id. `__ignore__` is void.

    Raises:
        UsageError: a label is not in the list.
    """
    beside = root.parent / "labels.txt"
    path = list_of(root) or (beside if has_entry(beside) else None)
    known = LISTS[path.name](path) if path else None
    if known is None:
        names = (_BACKGROUND, *sorted(set(labels) - {_BACKGROUND, _IGNORED}))
        known = in_order(root, names)
    elif _BACKGROUND not in known.classes.names:
        names = (_BACKGROUND, *known.classes.names)
        known = Declared(Classes(names, palette.colors(len(names))), None)
    ids = {name: index for index, name in enumerate(known.classes.names)} | {_IGNORED: IGNORE_INDEX}
    for label, place in labels.items():
        if label not in ids:
            raise UsageError(f"{place}: label {label!r} is not in {path}; add it there or correct the label")
    return known, ids


@dataclasses.dataclass(frozen=True)
class _Drawing:
    """Draw the shapes of a file in order. Later ones cover earlier ones, as in labelme's own conversion."""

    labels: tuple[tuple[str, int], ...]

    def __call__(self, path: Path, data: bytes) -> np.ndarray:
        found, ids = json_of(path, data), dict(self.labels)
        page = drawn.canvas(path, found.get("imageHeight"), found.get("imageWidth"), ids[_BACKGROUND])
        for number, shape in enumerate(found["shapes"]):
            try:
                kind, points, value = shape.get("shape_type") or "polygon", shape["points"], ids[str(shape["label"])]
                if kind == "mask":
                    _paste(path, page, shape, value)
                else:
                    page[drawn.mask(page, _KINDS[kind], points)] = value
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise UsageError(
                    f"{path}: shape {number} cannot be drawn ({type(error).__name__}: {error}); correct it in labelme"
                ) from None
        return page


def _paste(path: Path, page: np.ndarray, shape: Mapping[str, Any], value: int) -> None:
    """Draw a shape that is a bitmap, placed by its upper left corner."""

    def read(image: Image.Image, source: Source) -> np.ndarray:
        return np.asarray(image.convert("L")) > 0

    patch = decoded(path, _decoded(path, shape["mask"]), read)
    (left, top), _ = np.asarray(shape["points"], float).round().astype(int).tolist()
    drawn.paste(page, patch, left, top, value)


LAYOUTS = (Layout("labelme JSON", _here, _read),)
