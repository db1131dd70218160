"""A small painter in NumPy: antialiased shapes from signed distances, with class labels and depth order.

Arrays are changed by + - * /, square root, comparison and rounding only. These are exact under IEEE 754, so the same
seed gives the same bytes on every NumPy and processor. Sine, exponential or dot products differ in the last bit.
"""

from __future__ import annotations

import functools

import numpy as np

from bench.core import IGNORE_INDEX

_TILE = 256
Color = np.ndarray | tuple[float, float, float]


class Rng:
    """Random choices from one stream of uniform numbers, the part of NumPy's generators that never changes."""

    def __init__(self, *key: int) -> None:
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))).random

    def between(self, low: float, high: float) -> float:
        """Return a uniform number in [low, high)."""
        return low + (high - low) * self._random()

    def whole(self, low: int, high: int) -> int:
        """Return a uniform integer in low..high, both included."""
        return low + int((high - low + 1) * self._random())

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random() < probability

    def pick(self, options):  # type: ignore[no-untyped-def]
        """Return one of the options, all equally likely."""
        return options[int(len(options) * self._random())]

    def array(self, *shape: int) -> np.ndarray:
        """Return uniform numbers in [0, 1), float32 of this shape."""
        return self._random(shape, dtype=np.float32)


class Canvas:
    """An image that is being painted, `height` x `width` pixels.

    Attributes:
        rgb: colours in 0..1, float32 (H, W, 3).
        label: class ids, uint8 (H, W).
        order: depth order, int16 (H, W); greater is nearer to the eye.
    """

    def __init__(self, height: int, width: int) -> None:
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.label = np.zeros((height, width), np.uint8)
        self.order = np.zeros((height, width), np.int16)
        self._thing, self._count = 0, 0

    def begin(self, label: int) -> None:
        """Begin an object of class `label`: what is painted from now on belongs to it, in front of all before."""
        self._thing, self._count = label, self._count + 1

    def paint(self, box: Box, cover: np.ndarray, color: Color, solid: bool = True) -> None:
        """Blend `color` into the box by `cover` in 0..1.

        With `solid`, pixels that are covered by half or more get the label and the order of the current object.
        """
        if box.empty:
            return
        place = box.place
        part = self.rgb[place]
        part += cover[..., None] * (np.asarray(color, np.float32) - part)
        if solid:
            inside = cover >= 0.5
            self.label[place][inside] = self._thing
            self.order[place][inside] = self._count

    def shade(self, box: Box, cover: np.ndarray, factor: float) -> None:
        """Multiply the colours by `factor` where `cover` is 1, by less of it below. Labels do not change."""
        if not box.empty:
            self.rgb[box.place] *= (1 - np.float32(1 - factor) * cover)[..., None]

    def voided(self) -> np.ndarray:
        """Return the labels uint8 (H, W), void in a band of one pixel on the far side of every edge between objects."""
        near = self.order.copy()
        for here, there in (
            ((slice(1, None),), (slice(None, -1),)),
            ((slice(None), slice(1, None)), (slice(None), slice(-1))),
        ):
            np.maximum(near[here], self.order[there], out=near[here])
            np.maximum(near[there], self.order[here], out=near[there])
        return np.where(near > self.order, IGNORE_INDEX, self.label).astype(np.uint8)


class Box:
    """The pixels of a canvas between two corners, with the coordinates of their centres: x (1, w) and y (h, 1).

    Coordinates are in pixels from the upper left corner of the canvas.
    """

    def __init__(self, canvas: Canvas, left: float, top: float, right: float, bottom: float) -> None:
        height, width = canvas.label.shape
        self.left, self.right = max(0, int(left)), min(width, int(right) + 1)
        self.top, self.bottom = max(0, int(top)), min(height, int(bottom) + 1)
        self.empty = self.left >= self.right or self.top >= self.bottom
        self.place = slice(self.top, max(self.top, self.bottom)), slice(self.left, max(self.left, self.right))
        self.x = np.arange(self.left, self.right, dtype=np.float32)[None] + np.float32(0.5)
        self.y = np.arange(self.top, self.bottom, dtype=np.float32)[:, None] + np.float32(0.5)

    def texture(self, name: int, rng: Rng, step: int = 1) -> np.ndarray:
        """Return a patch of a noise tile in 0..1, float32 (h, w), from a random position. `step` > 1 makes it finer."""
        return tile(name, rng.whole(0, _TILE - 1), rng.whole(0, _TILE - 1), self.y.size, self.x.size, step)


# --- signed distances in pixels, negative inside ---------------------------------------------------------------------


def soft(distance: np.ndarray) -> np.ndarray:
    """Return the cover in 0..1 of a shape with an antialiased edge, from its signed distance."""
    return np.clip(np.float32(0.5) - distance, 0, 1)


def block(box: Box, left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> np.ndarray:
    """Return the signed distance of a rectangle, (h, w), with corners rounded by `radius` pixels."""
    dx = np.abs(box.x - (left + right) / 2) - (right - left) / 2 + radius
    dy = np.abs(box.y - (top + bottom) / 2) - (bottom - top) / 2 + radius
    if radius == 0:
        return np.maximum(dx, dy)
    out = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
    return out + np.minimum(np.maximum(dx, dy), 0) - radius


def oval(box: Box, x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Return the signed distance of an ellipse, (h, w), approximate unless it is a circle."""
    return (np.sqrt(((box.x - x) / rx) ** 2 + ((box.y - y) / ry) ** 2) - 1) * min(rx, ry)


def convex(box: Box, corners: list[tuple[float, float]]) -> np.ndarray:
    """Return the signed distance of a convex polygon, (h, w). Its corners go clockwise as seen (y down)."""
    distance = np.full((box.y.size, box.x.size), -np.inf, np.float32)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        side = ((box.x - x0) * (y1 - y0) - (box.y - y0) * (x1 - x0)) / length
        np.maximum(distance, side, out=distance)
    return distance


# --- textures --------------------------------------------------------------------------------------------------------

CLOUD, LEAF, GRAIN = range(3)
_OCTAVES = {CLOUD: (4, 8, 16, 32, 64), LEAF: (32, 64, 128), GRAIN: (64, 128, 256)}


@functools.cache
def _noise(name: int) -> np.ndarray:
    """Return tileable value noise in 0..1 as 3 x 3 tiles, float32 (768, 768), so every patch is one slice."""
    rng = Rng(7, name)
    total = np.zeros((_TILE, _TILE), np.float32)
    weight = 1.0
    for cells in _OCTAVES[name]:
        total += weight * _smooth(rng.array(cells, cells))
        weight *= 0.55 if name == CLOUD else 0.8
    low, high = np.min(total), np.max(total)
    return np.tile((total - low) / (high - low), (3, 3))


def _smooth(grid: np.ndarray) -> np.ndarray:
    """Enlarge a small periodic grid to a tile with smooth steps between its values."""
    for axis in (0, 1):
        grid = np.moveaxis(grid, axis, 0)
        place = np.arange(_TILE, dtype=np.float32) * np.float32(len(grid) / _TILE)
        low = place.astype(int)
        share = place - low
        share = (share * share * (3 - 2 * share))[:, None]
        grid = grid[low] * (1 - share) + grid[(low + 1) % len(grid)] * share
        grid = np.moveaxis(grid, 0, axis)
    return grid


def tile(name: int, top: int, left: int, height: int, width: int, step: int = 1) -> np.ndarray:
    """Return a patch (height, width) of noise in 0..1, every `step`-th value."""
    return _noise(name)[top : top + height * step : step, left : left + width * step : step]


def tile_at(name: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return noise in 0..1 at integer coordinates of any size and sign, for a ground in perspective."""
    return _noise(name)[rows & (_TILE - 1), columns & (_TILE - 1)]
