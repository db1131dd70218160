"""Read Roboflow's "semantic segmentation masks": `NAME.jpg` beside `NAME_mask.png`, class names in `_classes.csv`."""

from __future__ import annotations

from pathlib import Path

from bench.core import UsageError
from bench.data.image_io import IMAGE_SUFFIXES, MASK_SUFFIXES
from bench.data.sources.classes import Declared, declared
from bench.data.sources.examination import Pair
from bench.data.sources.exports.common import Export, Layout, Pairs, Request, in_splits
from bench.data.sources.layout import index
from bench.data.sources.mask_codes import Values

_LIST, _ENDING = "_classes.csv", "_mask"


def _folders(root: Path) -> list[Path]:
    """Return the folders with a class list: those directly below the root, else the root itself."""
    below = [path.parent for path in sorted(root.glob(f"*/{_LIST}"))]
    return below or ([root] if (root / _LIST).is_file() else [])


def _read(root: Path, request: Request) -> Export:
    found: dict[str, Pairs] = {}
    lists: dict[Path, Declared | None] = {}
    for folder in _folders(root):
        name = folder.relative_to(root).as_posix()
        lists[folder] = declared(folder)
        images = index(root, name, IMAGE_SUFFIXES, request.faults)
        masks = index(root, name, MASK_SUFFIXES, request.faults, _ENDING)
        images = {key: path for key, path in images.items() if key.removesuffix(_ENDING) not in masks or key in masks}
        for key, path in images.items():
            if key not in masks:
                request.faults.add(f"{path}: image without a mask; expected {path.stem}{_ENDING}.png beside it")
        pairs = {key: Pair(path, masks[key]) for key, path in images.items() if key in masks}
        found[name] = pairs if name == "." else {f"{name}/{key}": pair for key, pair in pairs.items()}
    known = next(iter(lists.values()))
    for folder, other in lists.items():
        if known and other and other.classes.names != known.classes.names:
            raise UsageError(
                f"{folder / _LIST}: other classes than in {next(iter(lists)) / _LIST}; export both together"
            )
    splits, notes = in_splits(root, found, request)
    return Export(splits, known, Values(), notes)


LAYOUTS = (
    Layout(
        "Roboflow semantic segmentation masks",
        lambda root: bool(_folders(root)),
        _read,
    ),
)
