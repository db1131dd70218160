"""Say what lies in a folder that has no known layout, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench.data.image_io import IMAGE_SUFFIXES

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_IMAGES = ("images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "inputs", "x")
_MASKS = ("masks", "mask", "labels", "label", "annotations", "segmentations", "gt", "targets", "y")
_FOLDERS = 50  # that are opened, so that the root of a disk ends soon, too
_HEAD = 1 << 16  # bytes of a JSON file in which its kind shows
_COCO = re.compile(rb'"(categories|annotations|images)"\s*:\s*\[')
_YOLO = re.compile(r"\d+( [\d.]+){4,}")


class Seen(NamedTuple):
    """What lies in a folder instead of a known layout.

    Attributes:
        text: what was found and, if `told`, what to do.
        told: whether the text says what to do.
    """

    text: str
    told: bool = True


def seen_in(root: Path, masks: str, known: Callable[[Path], bool]) -> Seen:
    """Return what lies in a folder that has no known layout.

    Args:
        masks: name of the mask folder.
        known: returns whether a folder has a known layout.
    """
    there = sorted(path for path in islice(root.iterdir(), 1000) if not path.name.startswith("."))
    if not there:
        return Seen("the folder is empty", told=False)
    folders = [path for path in there if path.is_dir()][:_FOLDERS]
    inside = [path.name for path in folders if known(path)]
    if len(inside) == 1:
        return Seen(f"the data set is in {inside[0]}/; name {root / inside[0]} instead")
    if inside:
        return Seen(f"it holds several data sets ({', '.join(inside[:5])}); name the folder of one of them")
    for found in (_of_annotations(root), _of_names(folders, masks), _of_files(there)):
        if found:
            return Seen(found)
    names = [f"{path.name}/" if path.is_dir() else path.name for path in there]
    return Seen(f"it holds {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}", told=False)


def _of_annotations(root: Path) -> str:
    """Return what to do about annotations in a format that is not read; empty if there are none."""
    for path in _files(root, "*.json"):
        if _COCO.search(_head(path)):
            return (
                f"{path.relative_to(root)} is COCO JSON, whose annotations are not masks; export masks of class ids "
                "instead (CVAT: Segmentation mask 1.1, Roboflow: Semantic Segmentation Masks), or convert them with "
                "Datumaro or pycocotools"
            )
    for path in _files(root, "*.txt"):
        if _YOLO.match(_head(path).decode(errors="replace")):
            return (
                f"{path.relative_to(root)} is an annotation of YOLO, and these are not masks; export masks of class "
                "ids instead"
            )
    return ""


def _of_names(folders: list[Path], masks: str) -> str:
    """Return how to rename the folders of images and masks; empty if none has a name that suggests it."""
    names = {path.name.lower(): path.name for path in folders}
    image = next((names[name] for name in _IMAGES if name in names), None)
    mask = next((names[name] for name in (masks.lower(), *_MASKS) if name in names), None)
    if image == "images" and mask is None:
        return f"no folder {masks}/ beside images/; put the masks there, or name their folder with {_option('NAME')}"
    if mask == masks and image is None:
        return f"no folder images/ beside {masks}/; put the images there"
    if image is None or mask is None:
        return ""
    todo = [f"rename {image}/ to images/"] if image != "images" else []
    if mask != masks:
        todo.append(f"name the masks with {_option(mask)}")
    return f"it holds {image}/ and {mask}/; {' and '.join(todo)}"


def _option(masks: str) -> str:
    return f"--masks {masks} (in a run: --set data.masks={masks})"


def _of_files(there: list[Path]) -> str:
    """Return what to do about files that lie in the folder itself; empty if they say nothing."""
    if archive := next((path.name for path in there if path.suffix.lower() in _ARCHIVES), None):
        return f"{archive} is an archive; unpack it"
    if picture := next((path.name for path in there if path.suffix.lower() in IMAGE_SUFFIXES), None):
        return (
            f"images such as {picture} lie in the folder itself; move them to images/, and their masks, under the same "
            "names, to masks/"
        )
    return ""


def _files(root: Path, pattern: str) -> Iterator[Path]:
    """Yield some files of the folder and of the two levels below it."""
    for below in ("", "*/", "*/*/"):
        yield from islice((path for path in root.glob(below + pattern) if path.is_file()), 20)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
