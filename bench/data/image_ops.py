"""Changes of pictures in whole numbers: the same bytes on every machine, whatever the number of workers.

The trick is to hold the channels of a pixel side by side in one 64-bit integer, a lane of 16 bits each. Sums of
products with small weights then blend all channels in one operation, exactly, as long as no lane overflows; where a
difference borrows from the lane beside it, the sum that follows pays it back.

A picture is uint8 (H, W, 3); `Lanes` is int64 (H, W), a value 0..255 in each of three lanes (the fourth is not used);
a label map is uint8 (H, W) and is only ever gathered.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

Lanes = np.ndarray
_ROWS = 48
"""Rows that are warped at a time: what is between two steps then stays in the cache of a core."""
_BITS = 20  # of a coordinate's fraction
_ONE = 1 << _BITS
_FINE = 4  # bits of the fraction that blend: 16 x 16 weights of 255 just fit into a lane
_EVERY_LANE = 0x0001_0001_0001_0001


def to_lanes(pixels: np.ndarray) -> Lanes:
    """uint8 (H, W, 4), the last not used, as lanes."""
    return pixels.astype(np.uint16, order="C").view(np.int64)[..., 0]


def channels(lanes: Lanes, byte: int = 0) -> np.ndarray:
    """A view of three bytes of a pixel, uint8 (H, W, 3): the low ones of its lanes, or with `byte` 1 the high ones."""
    return lanes.view(np.uint8).reshape(*lanes.shape, 8)[..., byte:6:2]


# --- one warp --------------------------------------------------------------------------------------------------------


class Affine(NamedTuple):
    """Source from target: (u, v) = (xx x + xy y + x0, yx x + yy y + y0), where (0, 0) is the corner of a picture and
    (0.5, 0.5) the centre of its first pixel."""

    xx: float
    xy: float
    x0: float
    yx: float
    yy: float
    y0: float

    def region(self, height: int, width: int, shape: tuple[int, int]) -> tuple[slice, slice]:
        """The pixels of a source of `shape` that a target of (height, width) sees, and two more on each side."""
        corners = [(x, y) for x in (0, width) for y in (0, height)]
        across = [self.xx * x + self.xy * y + self.x0 for x, y in corners]
        down = [self.yx * x + self.yy * y + self.y0 for x, y in corners]
        rows, columns = _around(down, shape[0]), _around(across, shape[1])
        return rows, columns

    @property
    def whole(self) -> bool:
        """Whether every pixel of the target is one of the source: a shift by whole pixels, perhaps mirrored."""
        return abs(self.xx) == abs(self.yy) == 1 and self.xy == self.yx == 0 and self.x0 % 1 == 0 and self.y0 % 1 == 0

    def seen_from(self, rows: slice, columns: slice) -> Affine:
        """The same for a source of which only this region is there."""
        return self._replace(x0=self.x0 - columns.start, y0=self.y0 - rows.start)


def _around(places: list[float], extent: int) -> slice:
    low = min(max(math.floor(min(places)) - 2, 0), extent)
    return slice(low, max(low, min(max(math.ceil(max(places)) + 2, 0), extent)))


def window_of(
    shape: tuple[int, int],
    crop: tuple[int, int],
    *,
    scale: float = 1.0,
    place: tuple[float, float] = (0.0, 0.0),
    shift: tuple[int, int] = (0, 0),
    degrees: float = 0.0,
    mirror: tuple[bool, bool] = (False, False),
) -> Affine:
    """The warp that scales, crops, rotates and mirrors.

    Args:
        shape, crop: (height, width) of the source and of the window that is cut from it.
        scale: factor of the source's size.
        place: how far down and to the right the window lies, 0 at one end and below 1 of its room; where the scaled
            source is smaller than the window, where the source lies in it.
        shift: pixels by which the window is moved from there, down and to the right.
        degrees: the content turns by so much about the middle of the window, clockwise as seen.
        mirror: whether the window is turned over, across and down.
    """
    turn = math.radians(degrees)
    cos, sin = math.cos(turn) / scale, math.sin(turn) / scale
    top, left = (
        _start(extent * scale, side, share) + by
        for extent, side, share, by in zip(shape, crop, place, shift, strict=True)
    )
    flip_x, flip_y = (-1 if turned else 1 for turned in mirror)
    middle_y, middle_x = crop[0] / 2, crop[1] / 2
    xx, xy, yx, yy = cos * flip_x, sin * flip_y, -sin * flip_x, cos * flip_y
    return Affine(
        xx, xy, (middle_x + left) / scale - xx * middle_x - xy * middle_y,
        yx, yy, (middle_y + top) / scale - yx * middle_x - yy * middle_y,
    )  # fmt: skip


def _start(extent: float, side: int, share: float) -> int:
    """Where a window of `side` starts on a source of `extent` pixels: at 0 or after, or before where it is larger."""
    room = max(1, round(extent)) - side
    offset = math.floor(share * (abs(room) + 1))
    return offset if room >= 0 else -offset


def warp(
    lanes: Lanes, label: np.ndarray, affine: Affine, crop: tuple[int, int], fill: int, void: int
) -> tuple[np.ndarray, np.ndarray]:
    """Window of a picture and of its label through one and the same map: the picture bilinear, the label nearest.

    Args:
        lanes: int64 (H, W); label: uint8 (H, W).
        affine: from places in the window to places in the picture, exact to 1/16 pixel.
        crop: (height, width) of the window.
        fill, void: what lies outside, as lanes and as a class id.

    Returns:
        uint8 (height, width, 3) and (height, width).
    """
    if affine.whole:
        return _moved(lanes, label, affine, crop, fill, void)
    height, width = crop
    padded = np.full((label.shape[0] + 3, label.shape[1] + 3), fill, np.int64)
    padded[1:-2, 1:-2] = lanes
    ids = np.full(padded.shape, void, np.uint8)
    ids[1:-2, 1:-2] = label
    stride = padded.shape[1]
    flat, ids = padded.ravel(), ids.ravel()
    # From a pixel on: 16 times itself (and half of what the last shift cuts off), and what leads to its neighbour.
    start = (flat << _FINE) + 8 * _EVERY_LANE
    slope = np.empty_like(flat)
    np.subtract(flat[1:], flat[:-1], out=slope[:-1])
    slope[-1] = 0
    picture, labels = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint8)
    for top in range(0, height, _ROWS):
        part = slice(top, min(top + _ROWS, height))
        x = _places(affine.xx, affine.xy, affine.x0, width, part, label.shape[1])
        y = _places(affine.yx, affine.yy, affine.y0, width, part, label.shape[0])
        half = _ONE >> 1
        nearest = ((y + half) >> _BITS) * stride
        nearest += (x + half) >> _BITS
        labels[part] = ids.take(nearest)
        share_x, share_y = (x >> (_BITS - _FINE)) & 15, (y >> (_BITS - _FINE)) & 15
        y >>= _BITS
        y *= stride
        x >>= _BITS
        y += x
        upper = slope.take(y)
        upper *= share_x
        upper += start.take(y)
        y += stride
        lower = slope.take(y)
        lower *= share_x
        lower += start.take(y)
        lower -= upper
        lower *= share_y
        upper <<= _FINE
        upper += lower
        picture[part] = channels(upper, 1)
    return picture, labels


def _moved(
    lanes: Lanes, label: np.ndarray, affine: Affine, crop: tuple[int, int], fill: int, void: int
) -> tuple[np.ndarray, np.ndarray]:
    """What `warp` gives for a map of whole pixels, copied."""
    here, there = [], []
    axes = (affine.yy, affine.y0), (affine.xx, affine.x0)
    for (sign, offset), count, extent in zip(axes, crop, label.shape, strict=True):
        start = int(offset) if sign > 0 else int(offset) - count
        low = max(0, -start)
        high = max(low, min(count, extent - start))
        here.append(slice(low, high))
        there.append(slice(start + low, start + high))
    picture, labels = np.empty((*crop, 3), np.uint8), np.full(crop, void, np.uint8)
    picture[:] = channels(np.array([[fill]]))[0, 0]
    mirrored = slice(None, None, int(affine.yy)), slice(None, None, int(affine.xx))
    picture[mirrored][tuple(here)] = channels(lanes)[tuple(there)]
    labels[mirrored][tuple(here)] = label[tuple(there)]
    return picture, labels


def _places(by_column: float, by_row: float, offset: float, width: int, rows: slice, extent: int) -> np.ndarray:
    """Places along one axis of the padded source, in 1/2**20 pixels, int64 (rows, width)."""
    column, row = round(by_column * _ONE), round(by_row * _ONE)
    # A pixel's centre is at +0.5 in target and source; the padding is one pixel; 1/32 rounds the 16ths.
    first = round((offset + (by_column + by_row) / 2 + 0.5 + 1 / 32) * _ONE)
    places = np.add.outer(
        np.arange(rows.start, rows.stop, dtype=np.int64) * row + first, np.arange(width, dtype=np.int64) * column
    )
    corners = places[0, 0], places[0, -1], places[-1, 0], places[-1, -1]
    if min(corners) < 0 or max(corners) > (extent + 1) * _ONE:
        np.clip(places, 0, (extent + 1) * _ONE, out=places)
    return places


# --- colours ---------------------------------------------------------------------------------------------------------

_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_RGB = np.linalg.inv(_YIQ)
_PART = 1 << 13


def tone_curve(gamma: float, brightness: float, contrast: float) -> np.ndarray:
    """Float (256,), in 0..255: brightness added to the gamma curve, then the contrast about middle grey."""
    share = (np.arange(256) / 255) ** gamma + brightness
    return np.clip((share - 0.5) * contrast + 0.5, 0, 1) * 255


def color_matrix(hue: float, saturation: float) -> np.ndarray | None:
    """(3, 3) for RGB columns: the chroma plane of YIQ turned by `hue` turns and stretched. None: as it is."""
    if hue == 0 and saturation == 1:
        return None
    angle = 2 * math.pi * hue
    cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
    return _RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ


def recolored(picture: np.ndarray, curve: np.ndarray, matrix: np.ndarray | None) -> Lanes:
    """The tone curve and then the colour matrix, by three look-ups a pixel.

    Args:
        picture: uint8 (H, W, 3), of any strides.
    """
    red, green, blue = (picture[..., index] for index in range(3))
    if matrix is None:
        tone = np.rint(curve).astype(np.int64)
        lanes = tone.take(red)
        lanes |= (tone << 16).take(green)
        lanes |= (tone << 32).take(blue)
        return lanes
    # A lane holds 8 times the value and a bias that no sum of three parts, each below 4 x 255 x 8 or cut, goes below.
    parts = np.clip(np.rint(matrix[:, :, None] * (curve * 8)), 1 - _PART, _PART - 1).astype(np.int64)
    tables = [parts[0, channel] + (parts[1, channel] << 16) + (parts[2, channel] << 32) for channel in range(3)]
    lanes = tables[0].take(red)
    lanes += tables[1].take(green)
    lanes += tables[2].take(blue)
    lanes += (3 * _PART + 4) * _EVERY_LANE
    values = lanes.view(np.uint16)
    np.clip(values, 3 * _PART, 3 * _PART + 255 * 8 + 7, out=values)
    values -= 3 * _PART
    values >>= 3
    return lanes


def blurred(lanes: Lanes, sigma: float) -> Lanes:
    """A Gaussian of `sigma` pixels, cut at three sigma, weights in 256ths; border pixels stand for what is beyond."""
    weights = _gaussian(sigma)
    for axis in (0, 1):
        lanes = _smoothed(lanes, weights, axis)
    return lanes


def _gaussian(sigma: float) -> list[int]:
    """Weight of the middle and of each neighbour at 1, 2, ...; with both sides they sum to 256."""
    reach = max(1, math.ceil(3 * sigma))
    curve = [math.exp(-0.5 * (place / max(sigma, 1e-3)) ** 2) for place in range(reach + 1)]
    total = curve[0] + 2 * sum(curve[1:])
    beside = [round(256 * value / total) for value in curve[1:]]
    return [256 - 2 * sum(beside), *(weight for weight in beside if weight)]


def _smoothed(lanes: Lanes, weights: list[int], axis: int) -> Lanes:
    reach = len(weights) - 1
    padding = [(0, 0), (0, 0)]
    padding[axis] = reach, reach
    padded, extent = np.pad(lanes, padding, mode="edge"), lanes.shape[axis]

    def shifted(by: int) -> Lanes:
        place = [slice(None), slice(None)]
        place[axis] = slice(reach + by, reach + by + extent)
        return padded[tuple(place)]

    total = lanes * weights[0]
    for distance, weight in enumerate(weights[1:], start=1):
        pair = shifted(-distance) + shifted(distance)
        pair *= weight
        total += pair
    total += 128 * _EVERY_LANE
    total >>= 8
    total &= 255 * _EVERY_LANE
    return total


def equalized(picture: np.ndarray, clip: float, tiles: int) -> np.ndarray:
    """CLAHE of the luma: contrast limited adaptive histogram equalisation (Zuiderveld 1994).

    Each of tiles x tiles regions has its own curve, the running sum of its histogram, which was cut at `clip` times its
    mean and given the cut-off back evenly (as OpenCV does); between the regions' centres curves are blended. All
    channels change by what the luma does, so that hue and chroma (of YCbCr) stay.

    Args:
        picture: uint8 (H, W, 3).
    """
    height, width = picture.shape[:2]
    luma = _luma(picture)
    rows, columns = -(-height // tiles), -(-width // tiles)
    missing = (0, rows * tiles - height), (0, columns * tiles - width)
    full = np.pad(luma, missing, mode="reflect" if min(height, width) > max(missing[0][1], missing[1][1]) else "edge")
    curves = _tile_curves(full.reshape(tiles, rows, tiles, columns).swapaxes(1, 2).reshape(tiles * tiles, -1), clip)
    new = _between_tiles(curves, luma, tiles, rows, columns)
    new -= luma
    return np.stack([np.clip(picture[..., index] + new, 0, 255).astype(np.uint8) for index in range(3)], axis=-1)


def _luma(picture: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, with weights of 14 bits."""
    red, green, blue = (picture[..., index].astype(np.int32) for index in range(3))
    return ((red * 4899 + green * 9617 + blue * 1868 + 8192) >> 14).astype(np.uint8)


def _tile_curves(tiles: np.ndarray, clip: float) -> np.ndarray:
    """The curve of each tile, uint8 values as int64 (T, 256), from its pixels (T, N)."""
    count, area = tiles.shape
    bins = np.bincount((tiles + np.arange(count)[:, None] * 256).ravel(), minlength=count * 256).reshape(count, 256)
    limit = max(1, int(clip * area / 256))
    excess = np.maximum(bins - limit, 0).sum(axis=1, keepdims=True)
    bins = np.minimum(bins, limit) + excess // 256
    # What does not divide by 256 goes to every n-th bin.
    rest = excess % 256
    step = np.maximum(256 // np.maximum(rest, 1), 1)
    place = np.arange(256)[None]
    bins += (place % step == 0) & (place // step < rest)
    return (np.cumsum(bins, axis=1) * 255 + area // 2) // area


def _between_tiles(curves: np.ndarray, luma: np.ndarray, tiles: int, rows: int, columns: int) -> np.ndarray:
    """Each pixel through the curves of the four tiles around it, blended by its distances to their centres: int16."""
    up, down, share_y = _neighbours(luma.shape[0], rows, tiles)
    left, right, share_x = _neighbours(luma.shape[1], columns, tiles)
    flat = curves.astype(np.int32).ravel()
    value = luma.astype(np.intp)
    new = np.zeros(luma.shape, np.int32)
    for row, weight_y in ((up, 256 - share_y), (down, share_y)):
        for column, weight_x in ((left, 256 - share_x), (right, share_x)):
            here = flat.take(value + np.add.outer(row * (tiles * 256), column * 256))
            here *= np.multiply.outer(weight_y, weight_x)
            new += here
    return ((new + (1 << 15)) >> 16).astype(np.int16)


def _neighbours(extent: int, size: int, tiles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along one axis, for each pixel: the tiles before and after it and the share of the one after, in 256ths."""
    twice = 2 * np.arange(extent) + 1 - size  # twice the way from the first tile's centre
    before = twice // (2 * size)
    share = ((twice - before * 2 * size) * 256 // (2 * size)).astype(np.int32)
    return np.clip(before, 0, tiles - 1), np.clip(before + 1, 0, tiles - 1), share
