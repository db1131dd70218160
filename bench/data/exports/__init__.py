"""Folders as users have them: the project's own layouts, exports of annotation tools, published sets; a file a family.

To read another layout, write its file with a `LAYOUTS` and name it in `_families`. Which it is says the first `here`.
"""

from __future__ import annotations

from pathlib import Path

from bench.data.exports import plain
from bench.data.exports.common import Export, Layout, Request
from bench.errors import UsageError

ALL: tuple[Layout, ...] = (*plain.LAYOUTS,)


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
    raise UsageError(f"{root}: no layout that is known; expected {'; or '.join(layout.looks for layout in ALL)}")
