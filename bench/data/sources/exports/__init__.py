"""Folders as users have them: the project's own layouts, exports of annotation tools, published sets; a file a family.

To read another layout, write its file with a `LAYOUTS` and name that in `ALL`. The first whose `here` says so reads.
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
    """What lies in a folder.

    Raises:
        UsageError: no layout that is known, or the first fault.
    """
    for layout in ALL:
        if layout.here(root):
            return layout.read(root, request)._replace(kind=layout.name)
    if not (root / "images").is_dir() and (root / request.masks).is_dir():
        raise UsageError(f"{root}: no folder images/ beside {request.masks}/; put the pictures there")
    kinds = ", ".join(layout.name for layout in ALL if layout.name and layout.wanted)
    raise UsageError(
        f"{root}: no layout that is known; expected images/ + {request.masks}/ with train.txt and val.txt, or "
        f"Train_Images/ + Train_Masks/ + Val_Images/ + Val_Masks/, or as it comes: {kinds}"
    )
