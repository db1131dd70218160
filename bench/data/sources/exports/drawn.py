"""Draw masks from annotations that are shapes, when a mask is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from bench.core import UsageError
from bench.data.image_io import MAX_PIXELS, MAX_SIDE
from results import counted

Points = Sequence[Sequence[float]]
_WIDTH = 10
"""Width of a line and diameter of a point in pixels, as in labelme."""


def canvas(path: Path, height: Any, width: Any, value: int) -> np.ndarray:
    """Return a mask filled with one class id, uint8 (H, W).

    Args:
        path: the annotation, named in messages.

    Raises:
        UsageError: height or width is not a positive integer, or exceeds `MAX_SIDE` or `MAX_PIXELS`.
    """
    if not (type(height) is int and type(width) is int and height > 0 and width > 0):
        raise UsageError(f"{path}: no size of its image ({height!r} x {width!r}); export it again")
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise UsageError(f"{path}: {width}x{height} pixels; at most {MAX_SIDE} per side are read")
    return np.full((height, width), value, np.uint8)


def mask(over: np.ndarray, kind: str, points: Points) -> np.ndarray:
    """Return the pixels of a shape, bool (H, W).

    The rules are those of Pillow's `ImageDraw` with outline, which labelme uses: pixels that an edge touches belong to
    the shape.

    Args:
        over: an array (H, W) that gives the size; it is not changed.
        kind: polygon, rectangle, circle (centre and a point on its edge), line or point.
        points: (x, y) in pixels each.

    Raises:
        ValueError: an unknown kind, a wrong number of points, or a point that is not finite.
    """
    height, width = over.shape
    page = Image.new("1", (width, height))
    draw = ImageDraw.Draw(page)
    xy = [(float(x), float(y)) for x, y in points]
    if not all(math.isfinite(value) for point in xy for value in point):
        raise ValueError("a point that is not finite")
    if kind == "polygon" and len(xy) > 2:
        draw.polygon(xy, fill=1, outline=1)
    elif kind == "rectangle" and len(xy) == 2:
        (x0, y0), (x1, y1) = xy
        draw.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), fill=1, outline=1)
    elif kind == "circle" and len(xy) == 2:
        radius = math.dist(*xy)
        _disc(draw, xy[0], radius)
    elif kind == "line" and len(xy) > 1:
        draw.line(xy, fill=1, width=_WIDTH, joint="curve" if len(xy) > 2 else None)
    elif kind == "point" and len(xy) == 1:
        _disc(draw, xy[0], _WIDTH / 2)
    else:
        raise ValueError(f"a {kind} of {counted(len(xy), 'point')}")
    return np.asarray(page)


def _disc(draw: ImageDraw.ImageDraw, center: tuple[float, float], radius: float) -> None:
    x, y = center
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)


def paste(page: np.ndarray, patch: np.ndarray, left: int, top: int, value: int) -> None:
    """Set the pixels of a patch, bool (h, w), at (left, top) of a page, uint8 (H, W), to `value`.

    Pixels outside the page are ignored.
    """
    height, width = page.shape
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(height, top + patch.shape[0]), min(width, left + patch.shape[1])
    if y0 < y1 and x0 < x1:
        page[y0:y1, x0:x1][patch[y0 - top : y1 - top, x0 - left : x1 - left]] = value
