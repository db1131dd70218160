"""Image operations in integers: they give the same bytes on every machine and for any number of workers.

The channels of a pixel lie side by side in one 64-bit integer, in lanes of 16 bits. So one sum of products with small
weights blends all channels at once. It is exact as long as no lane overflows. A difference may borrow from the next
lane; the following sum returns what was borrowed.

An image is uint8 (H, W, 3). `Lanes` is int64 (H, W) with a value 0..255 in each of three lanes; the fourth is unused.
A label is uint8 (H, W); its values are copied, never blended.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

Lanes = np.ndarray
_ROWS = 48
"""Rows that are warped at a time, few enough that intermediate arrays stay in the cache of a core."""
_BITS = 20  # bits of a coordinate's fraction
_ONE = 1 << _BITS
_FINE = 4  # bits of the fraction used as blending weight: 16 * 16 * 255 just fits into a lane
_EVERY_LANE = 0x0001_0001_0001_0001


def to_lanes(pixels: np.ndarray) -> Lanes:
    """Return pixels uint8 (H, W, 4) as lanes int64 (H, W). The fourth channel is not used."""
    return pixels.astype(np.uint16, order="C").view(np.int64)[..., 0]


def channels(lanes: Lanes, byte: int = 0) -> np.ndarray:
    """Return a view uint8 (H, W, 3) of one byte per lane: the low byte, or the high byte with `byte` 1."""
    return lanes.view(np.uint8).reshape(*lanes.shape, 8)[..., byte:6:2]


# --- one warp --------------------------------------------------------------------------------------------------------


class Affine(NamedTuple):
    """The map from target to source coordinates, in pixels: (u, v) = (xx x + xy y + x0, yx x + yy y + y0).

    (0, 0) is the upper left corner of an image, and (0.5, 0.5) is the centre of its first pixel.
    """

    xx: float
    xy: float
    x0: float
    yx: float
    yy: float
    y0: float

    def region(self, height: int, width: int, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return (rows, columns) of a source of `shape` that a target of (height, width) uses, plus 2 pixels around."""
        corners = [(x, y) for x in (0, width) for y in (0, height)]
        across = [self.xx * x + self.xy * y + self.x0 for x, y in corners]
        down = [self.yx * x + self.yy * y + self.y0 for x, y in corners]
        rows, columns = _around(down, shape[0]), _around(across, shape[1])
        return rows, columns

    @property
    def whole(self) -> bool:
        """Whether every target pixel equals a source pixel: a shift by whole pixels, with or without mirroring."""
        return abs(self.xx) == abs(self.yy) == 1 and self.xy == self.yx == 0 and self.x0 % 1 == 0 and self.y0 % 1 == 0

    def seen_from(self, rows: slice, columns: slice) -> Affine:
        """Return the same map for a source that is cropped to this region."""
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
    """Return the map that scales, crops, rotates and mirrors.

    Args:
        shape, crop: (height, width) in pixels of the source and of the window that is cut from it.
        scale: factor on the size of the source.
        place: position (down, right) of the window within its free room, in [0, 1). If the scaled source is smaller
            than the window, it is the position of the source within the window.
        shift: pixels (down, right) by which the window is moved from there.
        degrees: angle by which the content turns clockwise about the centre of the window.
        mirror: whether the window is mirrored (left-right, top-bottom).
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
    """Return the start of a window of `side` pixels on a source of `extent` pixels; <= 0 if the window is larger."""
    room = max(1, round(extent)) - side
    offset = math.floor(share * (abs(room) + 1))
    return offset if room >= 0 else -offset


def warp(
    lanes: Lanes, label: np.ndarray, affine: Affine, crop: tuple[int, int], fill: int, void: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window from an image and its label through the same map: the image bilinear, the label nearest.

    Args:
        lanes: the image, int64 (H, W).
        label: class ids, uint8 (H, W).
        affine: map from window to image coordinates; blending is exact to 1/16 pixel.
        crop: (height, width) of the window in pixels.
        fill, void: value of pixels outside the image, as lanes and as a class id.

    Returns:
        Image uint8 (height, width, 3) and label uint8 (height, width).
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
    # Per pixel: 16 times its value (plus half of what the last shift cuts off), and the difference to the next pixel.
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
    """Return the result of `warp` for a map of whole pixels, by copying."""
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
    """Return the coordinates along one axis of the padded source, in 1/2**20 pixels, int64 (rows, width)."""
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
    """Return the new value per old value, float (256,) in 0..255: gamma, plus brightness, then contrast about mid-grey.

    Args:
        gamma: exponent on values scaled to 0..1.
        brightness: added, on the scale 0..1.
        contrast: factor on the distance from 0.5.
    """
    share = (np.arange(256) / 255) ** gamma + brightness
    return np.clip((share - 0.5) * contrast + 0.5, 0, 1) * 255


def color_matrix(hue: float, saturation: float) -> np.ndarray | None:
    """Return the matrix (3, 3) for RGB columns that rotates the chroma plane of YIQ by `hue` turns and scales it.

    Returns:
        None if `hue` is 0 and `saturation` is 1.
    """
    if hue == 0 and saturation == 1:
        return None
    angle = 2 * math.pi * hue
    cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
    return _RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ


def recolored(picture: np.ndarray, curve: np.ndarray, matrix: np.ndarray | None) -> Lanes:
    """Apply the tone curve and then the colour matrix, by three look-ups per pixel.

    Args:
        picture: uint8 (H, W, 3), of any strides.
        curve: float (256,), see `tone_curve`.
        matrix: float (3, 3), see `color_matrix`; None for no matrix.

    Returns:
        Lanes, int64 (H, W).
    """
    red, green, blue = (picture[..., index] for index in range(3))
    if matrix is None:
        tone = np.rint(curve).astype(np.int64)
        lanes = tone.take(red)
        lanes |= (tone << 16).take(green)
        lanes |= (tone << 32).take(blue)
        return lanes
    # A lane holds 8 times the value, plus a bias that keeps any sum of three parts positive. A part is below
    # 4 x 255 x 8 in size, or is cut to _PART - 1.
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
    """Blur by a Gaussian of `sigma` pixels, cut at 3 sigma, weights in 256ths. Border pixels are repeated outside."""
    weights = _gaussian(sigma)
    for axis in (0, 1):
        lanes = _smoothed(lanes, weights, axis)
    return lanes


def _gaussian(sigma: float) -> list[int]:
    """Return the weights at distance 0, 1, 2, ... pixels. Counted on both sides they sum to 256."""
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
    """Apply CLAHE to the luma: contrast limited adaptive histogram equalisation (Zuiderveld 1994).

    Each of tiles x tiles regions has its own curve: the running sum of its histogram. The histogram is first clipped at
    `clip` times its mean, and the excess is spread evenly (as in OpenCV). Between the centres of regions, curves are
    interpolated. Each channel changes by the change of the luma, so hue and chroma (of YCbCr) are kept.

    Args:
        picture: uint8 (H, W, 3).
        clip: limit of a histogram bin, as a multiple of the mean bin.
        tiles: regions along each side.

    Returns:
        uint8 (H, W, 3).
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
    """Return the luma of ITU-R BT.601, uint8 (H, W), computed with weights of 14 bits."""
    red, green, blue = (picture[..., index].astype(np.int32) for index in range(3))
    return ((red * 4899 + green * 9617 + blue * 1868 + 8192) >> 14).astype(np.uint8)


def _tile_curves(tiles: np.ndarray, clip: float) -> np.ndarray:
    """Return the curve of each tile, values 0..255 as int64 (T, 256), from its pixels (T, N)."""
    count, area = tiles.shape
    bins = np.bincount((tiles + np.arange(count)[:, None] * 256).ravel(), minlength=count * 256).reshape(count, 256)
    limit = max(1, int(clip * area / 256))
    excess = np.maximum(bins - limit, 0).sum(axis=1, keepdims=True)
    bins = np.minimum(bins, limit) + excess // 256
    # The remainder of the division by 256 goes to every n-th bin.
    rest = excess % 256
    step = np.maximum(256 // np.maximum(rest, 1), 1)
    place = np.arange(256)[None]
    bins += (place % step == 0) & (place // step < rest)
    return (np.cumsum(bins, axis=1) * 255 + area // 2) // area


def _between_tiles(curves: np.ndarray, luma: np.ndarray, tiles: int, rows: int, columns: int) -> np.ndarray:
    """Map pixels through the curves of the four tiles around them, blended by distance to the centres: int16 (H, W)."""
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
    """Return per pixel along one axis: the tile before it, the tile after it, the weight of the latter in 256ths."""
    twice = 2 * np.arange(extent) + 1 - size  # twice the distance from the first tile's centre
    before = twice // (2 * size)
    share = ((twice - before * 2 * size) * 256 // (2 * size)).astype(np.int32)
    return np.clip(before, 0, tiles - 1), np.clip(before + 1, 0, tiles - 1), share
