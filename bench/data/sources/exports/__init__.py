"""Read the folders that users have: the project's own layouts, exports of annotation tools, published data sets.

There is one file per family of layouts. To add a layout, write a file with `LAYOUTS` and add it to `ALL`. The first
layout whose `here` returns true reads the folder; the project's own layouts (`plain`) come before.
"""

from __future__ import annotations

from pathlib import Path

from bench.core import UsageError
from bench.data.sources.exports import labelme, plain, published, roboflow, supervisely, voc
from bench.data.sources.exports.common import Export, Layout, Request
from bench.data.sources.exports.unknown import seen_in

ALL: tuple[Layout, ...] = (
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
    if own := plain.reader(root, request.masks):
        return own(root, request)
    for layout in ALL:
        if layout.here(root):
            return layout.read(root, request)._replace(kind=layout.name)

    def known(folder: Path) -> bool:
        return plain.reader(folder, request.masks) is not None or any(layout.here(folder) for layout in ALL)

    there = seen_in(root, request.masks, known)
    if there.told:
        raise UsageError(f"{root}: {there.text}; docs/data.md lists the layouts that are read")
    kinds = ", ".join(layout.name for layout in ALL if layout.wanted)
    raise UsageError(
        f"{root}: unknown layout: {there.text}; expected images/ + {request.masks}/ (or both in train/ and in val/), "
        f"Train_Images/ + Train_Masks/ + Val_Images/ + Val_Masks/, or an export as it is: {kinds}"
    )
