"""A small painter in NumPy: antialiased shapes from signed distances, class labels and depth order beside the colours.

Only + - * /, square root, comparison and rounding touch arrays. These are exact under IEEE 754, so the same seed gives
the same bytes on every NumPy and processor (sine, exponent or dot products differ in the last bit).
"""

from __future__ import annotations

import functools

import numpy as np

from bench.core import IGNORE_INDEX

_TILE = 256
Color = np.ndarray | tuple[float, float, float]


class Dice:
    """Random choices from one stream of uniform numbers, the part of NumPy's generators that stays the same."""

    def __init__(self, *key: int) -> None:
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))).random

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random()

    def whole(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return low + int((high - low + 1) * self._random())

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def pick(self, options):  # type: ignore[no-untyped-def]
        return options[int(len(options) * self._random())]

    def array(self, *shape: int) -> np.ndarray:
        return self._random(shape, dtype=np.float32)


class Canvas:
    """Colours float32 (H, W, 3) in 0..1, class labels uint8 (H, W) and `order` (H, W), greater = nearer to the eye."""

    def __init__(self, height: int, width: int) -> None:
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.label = np.zeros((height, width), np.uint8)
        self.order = np.zeros((height, width), np.int16)
        self._thing, self._count = 0, 0

    def begin(self, label: int) -> None:
        """What is painted from here on is one thing of this class, in front of all before."""
        self._thing, self._count = label, self._count + 1

    def paint(self, box: Box, cover: np.ndarray, color: Color, solid: bool = True) -> None:
        """Blend `color` into the box by `cover` in 0..1; where a solid covers half of a pixel, the label is its."""
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
        """Multiply the colours towards `factor`, labels untouched: shadows and highlights."""
        if not box.empty:
            self.rgb[box.place] *= (1 - np.float32(1 - factor) * cover)[..., None]

    def voided(self) -> np.ndarray:
        """Labels with a void band, one pixel wide, on the far side of every edge between things."""
        near = self.order.copy()
        for here, there in (
            ((slice(1, None),), (slice(None, -1),)),
            ((slice(None), slice(1, None)), (slice(None), slice(-1))),
        ):
            np.maximum(near[here], self.order[there], out=near[here])
            np.maximum(near[there], self.order[here], out=near[there])
        return np.where(near > self.order, IGNORE_INDEX, self.label).astype(np.uint8)


class Box:
    """The pixels of a canvas between two corners, with the coordinates of their centres: x (1, w) and y (h, 1)."""

    def __init__(self, canvas: Canvas, left: float, top: float, right: float, bottom: float) -> None:
        height, width = canvas.label.shape
        self.left, self.right = max(0, int(left)), min(width, int(right) + 1)
        self.top, self.bottom = max(0, int(top)), min(height, int(bottom) + 1)
        self.empty = self.left >= self.right or self.top >= self.bottom
        self.place = slice(self.top, max(self.top, self.bottom)), slice(self.left, max(self.left, self.right))
        self.x = np.arange(self.left, self.right, dtype=np.float32)[None] + np.float32(0.5)
        self.y = np.arange(self.top, self.bottom, dtype=np.float32)[:, None] + np.float32(0.5)

    def texture(self, name: int, dice: Dice, step: int = 1) -> np.ndarray:
        """A patch of a noise tile in 0..1, (h, w), from a random place; `step` > 1 makes it finer."""
        return tile(name, dice.whole(0, _TILE - 1), dice.whole(0, _TILE - 1), self.y.size, self.x.size, step)


# --- signed distances in pixels, negative inside ---------------------------------------------------------------------


def soft(distance: np.ndarray) -> np.ndarray:
    """Cover of a shape with an antialiased edge, from its signed distance."""
    return np.clip(np.float32(0.5) - distance, 0, 1)


def block(box: Box, left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> np.ndarray:
    """A rectangle, its corners rounded by `radius`."""
    dx = np.abs(box.x - (left + right) / 2) - (right - left) / 2 + radius
    dy = np.abs(box.y - (top + bottom) / 2) - (bottom - top) / 2 + radius
    if radius == 0:
        return np.maximum(dx, dy)
    out = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
    return out + np.minimum(np.maximum(dx, dy), 0) - radius


def oval(box: Box, x: float, y: float, rx: float, ry: float) -> np.ndarray:
    return (np.sqrt(((box.x - x) / rx) ** 2 + ((box.y - y) / ry) ** 2) - 1) * min(rx, ry)


def convex(box: Box, corners: list[tuple[float, float]]) -> np.ndarray:
    """A convex polygon whose corners go clockwise as seen (y down)."""
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
    """Tileable value noise in 0..1, three by three tiles, so that every patch is one slice."""
    dice = Dice(7, name)
    total = np.zeros((_TILE, _TILE), np.float32)
    weight = 1.0
    for cells in _OCTAVES[name]:
        total += weight * _smooth(dice.array(cells, cells))
        weight *= 0.55 if name == CLOUD else 0.8
    low, high = np.min(total), np.max(total)
    return np.tile((total - low) / (high - low), (3, 3))


def _smooth(grid: np.ndarray) -> np.ndarray:
    """A small periodic grid enlarged to a tile with smooth steps between its values."""
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
    return _noise(name)[top : top + height * step : step, left : left + width * step : step]


def tile_at(name: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Noise at integer coordinates of any size and sign; used where the ground runs away in perspective."""
    return _noise(name)[rows & (_TILE - 1), columns & (_TILE - 1)]
