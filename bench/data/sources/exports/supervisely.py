"""Read Supervisely projects: meta.json, and per data set `img/NAME` with shapes and bitmaps in `ann/NAME.json`."""

from __future__ import annotations

import base64
import dataclasses
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from bench.core import UsageError
from bench.data.image_io import IMAGE_SUFFIXES, MAX_PIXELS, Source, decoded
from bench.data.sources.classes import Declared, in_order
from bench.data.sources.derived_files import DerivedFile
from bench.data.sources.examination import Pair
from bench.data.sources.exports import drawn
from bench.data.sources.exports.common import Export, Layout, Pairs, Request, in_splits, json_of, split_name
from bench.data.sources.layout import inside
from bench.data.sources.mask_codes import Values

_BACKGROUNDS = ("__bg__", "_background_", "background", "bg")
_KINDS = {"polygon": "polygon", "rectangle": "rectangle", "line": "line", "polyline": "line", "point": "point"}


def _here(root: Path) -> bool:
    return (root / "meta.json").is_file() and any(root.glob("**/ann/[!.]*.json"))


def _read(root: Path, request: Request) -> Export:
    known, ids = _classes(root / "meta.json")
    draw = _Drawing(tuple(sorted(ids.items())))
    pairs: dict[str, Pairs] = {}
    for path in sorted(root.glob("**/ann/[!.]*.json")):
        image = _image(path)
        if not inside(root, path, request.faults):
            continue
        if not image.is_file():
            request.faults.add(f"{path}: its image {image} is not there; export the project with its images")
        elif inside(root, image, request.faults):
            folder = path.parent.parent.relative_to(root).as_posix()
            key = f"{folder}/{Path(path.stem).stem}" if folder != "." else Path(path.stem).stem
            split = split_name(folder.split("/")[-1]) or _tagged(path) or folder
            if key in pairs.setdefault(split, {}):
                request.faults.add(f"{path}: a second image named {key!r} with another ending; keep one")
            pairs[split][key] = Pair(image, DerivedFile(path, draw))
    splits, notes = in_splits(root, pairs, request)
    return Export(splits, known, Values(), notes)


def _image(path: Path) -> Path:
    """Return the image of an annotation: img/NAME.jpg for ann/NAME.jpg.json, or for ann/NAME.json of older exports."""
    named = path.parent.parent / "img" / path.stem
    others = (named.with_name(named.name + suffix) for suffix in IMAGE_SUFFIXES)
    return named if named.is_file() else next((other for other in others if other.is_file()), named)


def _tagged(path: Path) -> str | None:
    """Return the split that a tag of the image names; None if no tag does."""
    found = json_of(path)
    tags = found.get("tags", ()) if isinstance(found, dict) else ()
    names = (split_name(str(tag.get("name"))) for tag in tags if isinstance(tag, dict))
    return next((name for name in names if name), None)


def _classes(path: Path) -> tuple[Declared, dict[str, int]]:
    """Return the class list, and the id of each title.

    Pixels without an object are class 0. It is the project's class named background, or one added with that name.

    Raises:
        UsageError: there is no list of classes with titles, or a colour is faulty.
    """
    try:
        rows = [(str(row["title"]), str(row.get("color", ""))) for row in json_of(path)["classes"]]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: no list of classes with titles ({error}); export the project again") from None
    titles = [title for title, _ in rows]
    back = next((title for title in titles if title.lower() in _BACKGROUNDS), None)
    names = [back or "background", *(title for title in titles if title != back)]
    classes = in_order(path, names).classes
    if all(code for _, code in rows):
        shown = {"background": (0, 0, 0)} | {title: _color(path, title, code) for title, code in rows}
        classes = classes._replace(colors=tuple(shown[name] for name in names))
    return Declared(classes, None), {name: index for index, name in enumerate(names)}


def _color(path: Path, title: str, code: str) -> tuple[int, int, int]:
    try:
        red, green, blue = ImageColor.getrgb(code)[:3]
    except ValueError:
        raise UsageError(f"{path}: color {code!r} of class {title!r}; expected #rrggbb") from None
    return red, green, blue


@dataclasses.dataclass(frozen=True)
class _Drawing:
    """Draw the objects of an annotation in order. Later ones cover earlier ones."""

    titles: tuple[tuple[str, int], ...]

    def __call__(self, path: Path, data: bytes) -> np.ndarray:
        found, ids = json_of(path, data), dict(self.titles)
        size = found.get("size", {}) if isinstance(found, dict) else {}
        page = drawn.canvas(path, size.get("height"), size.get("width"), 0)
        for number, thing in enumerate(found.get("objects", ())):
            try:
                _draw(path, page, thing, ids)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise UsageError(
                    f"{path}: object {number} cannot be drawn ({type(error).__name__}: {error}); export it again"
                ) from None
        return page


def _draw(path: Path, page: np.ndarray, thing: Mapping[str, Any], ids: Mapping[str, int]) -> None:
    kind, value = thing["geometryType"], ids[thing["classTitle"]]
    if kind == "bitmap":
        left, top = (int(part) for part in thing["bitmap"]["origin"])
        drawn.paste(page, _bitmap(path, thing["bitmap"]["data"]), left, top, value)
        return
    points = thing["points"]
    within = drawn.mask(page, _KINDS[kind], points["exterior"])
    for hole in points.get("interior", ()):
        within = within & ~drawn.mask(page, "polygon", hole)
    page[within] = value


def _bitmap(path: Path, text: str) -> np.ndarray:
    """Decode a bitmap to bool (h, w): base64 of zlib of a PNG.

    Pixels with a non-zero alpha value belong to the object; without an alpha channel, those with a non-zero grey value.

    Raises:
        ValueError: it cannot be decompressed.
        UsageError: it is not an image.
    """
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text), MAX_PIXELS)
    except zlib.error as error:
        raise ValueError(str(error)) from None

    def read(image: Image.Image, source: Source) -> np.ndarray:
        return np.asarray(image.getchannel("A") if "A" in image.getbands() else image.convert("L")) > 0

    return decoded(path, data, read)


LAYOUTS = (Layout("Supervisely project", _here, _read),)
