"""Read the folders that users have: the project's own layouts, exports of annotation tools, published data sets.

There is one file per family of layouts. To add a layout, write a file with `LAYOUTS` and add it to `ALL`. The first
layout whose `here` returns true reads the folder.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import UsageError
from bench.data.sources.exports import labelme, plain, published, roboflow, supervisely, voc
from bench.data.sources.exports.common import Export, Layout, Request

ALL: tuple[Layout, ...] = (
    *plain.LAYOUTS,
    *voc.LAYOUTS,
    *roboflow.LAYOUTS,
    *supervisely.LAYOUTS,
    *published.LAYOUTS,
    *labelme.LAYOUTS,
)


def read(root: Path, request: Request) -> Export:
    """Read a folder by the first layout that recognises it.

    Raises:
        UsageError: no known layout, or the first fault.
    """
    for layout in ALL:
        if layout.here(root):
            return layout.read(root, request)._replace(kind=layout.name)
    if not (root / "images").is_dir() and (root / request.masks).is_dir():
        raise UsageError(f"{root}: no folder images/ beside {request.masks}/; put the images there")
    kinds = ", ".join(layout.name for layout in ALL if layout.name and layout.wanted)
    raise UsageError(
        f"{root}: unknown layout; expected images/ + {request.masks}/ with train.txt and val.txt, or "
        f"Train_Images/ + Train_Masks/ + Val_Images/ + Val_Masks/, or an export as it is: {kinds}"
    )
