"""Image operations by OpenCV. Each call runs on the calling thread, and Python's lock is released in it.

An image is uint8 (H, W, 3), RGB. A label is uint8 (H, W); its values are copied, never blended. Arrays may be views of
larger ones, cut by rows and columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

# The pipeline makes several batches at a time. Threads of OpenCV's own would only be in its way, and a GPU is for the
# model.
cv2.setNumThreads(0)
cv2.ocl.setUseOpenCL(False)

Window = tuple[slice, slice]
"""Rows and columns of an image, with start and stop."""


def extent(window: Window) -> tuple[int, int]:
    """Return the number of rows and of columns."""
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


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

    def region(self, height: int, width: int, shape: tuple[int, ...], margin: int = 0) -> Window:
        """Return the rows and columns of a source of `shape` that a target of (height, width) uses.

        Two pixels around, for blending, are among them, and `margin` more.
        """
        corners = [(x, y) for x in (0, width) for y in (0, height)]
        across = [self.xx * x + self.xy * y + self.x0 for x, y in corners]
        down = [self.yx * x + self.yy * y + self.y0 for x, y in corners]
        return _around(down, shape[0], 2 + margin), _around(across, shape[1], 2 + margin)

    def footprint(self, height: int, width: int, shape: tuple[int, ...]) -> Window:
        """Return the rows and columns of a target of (height, width) that a source of `shape` can reach."""
        back = self.inverse
        return back.region(shape[0], shape[1], (height, width), math.ceil(max(map(abs, (*back[:2], *back[3:5])))))

    @property
    def inverse(self) -> Affine:
        """The map from source to target coordinates."""
        area = self.xx * self.yy - self.xy * self.yx
        xx, xy, yx, yy = self.yy / area, -self.xy / area, -self.yx / area, self.xx / area
        return Affine(xx, xy, -xx * self.x0 - xy * self.y0, yx, yy, -yx * self.x0 - yy * self.y0)

    @property
    def whole(self) -> bool:
        """Whether every target pixel equals a source pixel: a shift by whole pixels, with or without mirroring."""
        return abs(self.xx) == abs(self.yy) == 1 and self.xy == self.yx == 0 and self.x0 % 1 == 0 and self.y0 % 1 == 0

    def seen_from(self, rows: slice, columns: slice) -> Affine:
        """Return the same map for a source that is cropped to this region."""
        return self._replace(x0=self.x0 - columns.start, y0=self.y0 - rows.start)

    def seen_by(self, rows: slice, columns: slice) -> Affine:
        """Return the same map for a target that is cropped to this window."""
        x, y = columns.start, rows.start
        return self._replace(x0=self.x0 + self.xx * x + self.xy * y, y0=self.y0 + self.yx * x + self.yy * y)

    @property
    def of_centres(self) -> np.ndarray:
        """The map between indices of pixels, as OpenCV takes it: float64 (2, 3)."""
        return np.array(
            [
                [self.xx, self.xy, self.x0 + (self.xx + self.xy - 1) / 2],
                [self.yx, self.yy, self.y0 + (self.yx + self.yy - 1) / 2],
            ]
        )


def _around(places: list[float], extent: int, margin: int) -> slice:
    low = min(max(math.floor(min(places)) - margin, 0), extent)
    return slice(low, max(low, min(max(math.ceil(max(places)) + margin, 0), extent)))


def window_of(
    shape: tuple[int, ...],
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


def warped(array: np.ndarray, affine: Affine, crop: tuple[int, int], fill: np.ndarray | int) -> np.ndarray:
    """Cut a window from an image or a label through a map: an image bilinearly, a label by nearest neighbour.

    Args:
        array: uint8 (H, W, 3) or (H, W).
        affine: map from window to source coordinates. Places between pixels are exact to 1/32 pixel.
        crop: (height, width) of the window in pixels.
        fill: value of pixels outside the source: uint8 (3,) or a class id.

    Returns:
        A new array, uint8 (height, width, 3) or (height, width).
    """
    value = tuple(map(float, np.atleast_1d(fill)))
    rows, columns = affine.footprint(*crop, array.shape)
    if not array.size or 0 in (size := extent((rows, columns))):
        return _surrounded(np.empty((0, 0, *array.shape[2:]), np.uint8), (0, crop[0], 0, crop[1]), value)
    here = affine.seen_by(rows, columns)
    found = _moved(array, here, size, value) if here.whole else _blended(array, here, size, value)
    return _surrounded(found, (rows.start, crop[0] - rows.stop, columns.start, crop[1] - columns.stop), value)


def _blended(array: np.ndarray, affine: Affine, size: tuple[int, int], value: tuple[float, ...]) -> np.ndarray:
    how = cv2.INTER_LINEAR if array.ndim == 3 else cv2.INTER_NEAREST
    return cv2.warpAffine(
        array, affine.of_centres, size[::-1], flags=how | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT,
        borderValue=value,
    )  # fmt: skip


def _moved(array: np.ndarray, affine: Affine, size: tuple[int, int], value: tuple[float, ...]) -> np.ndarray:
    """Return the result of `_blended` for a map of whole pixels, by copying."""
    starts = [
        int(offset) if sign > 0 else int(offset) - count
        for sign, offset, count in zip((affine.yy, affine.xx), (affine.y0, affine.x0), size, strict=True)
    ]
    lows = [max(0, start) for start in starts]
    highs = [
        max(low, min(extent, start + count))
        for low, extent, start, count in zip(lows, array.shape, starts, size, strict=False)
    ]
    part = array[lows[0] : highs[0], lows[1] : highs[1]]
    around = [
        end
        for low, high, start, count in zip(lows, highs, starts, size, strict=True)
        for end in (min(count, low - start), max(0, start + count - high))
    ]
    found = _surrounded(part, (around[0], around[1], around[2], around[3]), value)
    if affine.xx > 0 and affine.yy > 0:
        return found.copy() if found is part else found
    return cv2.flip(found, -1 if affine.xx < 0 and affine.yy < 0 else int(affine.xx < 0))


def _surrounded(array: np.ndarray, margins: tuple[int, int, int, int], value: tuple[float, ...]) -> np.ndarray:
    """Return an array with margins (above, below, left, right) of one value."""
    above, below, left, right = margins
    if 0 not in array.shape:
        return cv2.copyMakeBorder(array, *margins, cv2.BORDER_CONSTANT, value=value) if any(margins) else array
    out = np.empty((array.shape[0] + above + below, array.shape[1] + left + right, *array.shape[2:]), np.uint8)
    out[:] = value if array.ndim == 3 else value[0]
    return out


def fill(array: np.ndarray, window: Window, value: np.ndarray | int) -> None:
    """Set a rectangle of an image or a label to one value, in place."""
    rows, columns = window
    if rows.start < rows.stop and columns.start < columns.stop:
        ends = (columns.start, rows.start), (columns.stop - 1, rows.stop - 1)
        cv2.rectangle(array, *ends, tuple(map(float, np.atleast_1d(value))), cv2.FILLED)


# --- colours ---------------------------------------------------------------------------------------------------------

_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_RGB = np.linalg.inv(_YIQ)


def mean_color(image: np.ndarray) -> np.ndarray:
    """Return the mean RGB of an image, uint8 (3,). It fills padding and pixels outside the image."""
    return np.rint(cv2.mean(image)[:3]).astype(np.uint8)


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


def recolored(image: np.ndarray, curve: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Apply the tone curve, which is rounded to whole values, and then the colour matrix.

    Args:
        image: uint8 (H, W, 3).
        curve: float (256,), see `tone_curve`.
        matrix: float (3, 3), see `color_matrix`; None for no matrix.
    """
    toned = cv2.LUT(image, np.rint(curve).astype(np.uint8))
    return toned if matrix is None else cv2.transform(toned, matrix)


def blur_reach(sigma: float) -> int:
    """Return the pixels to each side that a blur of `sigma` pixels takes in: three sigma."""
    return max(1, math.ceil(3 * sigma))


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian of `sigma` pixels, cut at 3 sigma. Border pixels are repeated outside."""
    side = 2 * blur_reach(sigma) + 1
    return cv2.GaussianBlur(
        image, (side, side), max(sigma, 1e-3), borderType=cv2.BORDER_REPLICATE | cv2.BORDER_ISOLATED
    )


def equalized(image: np.ndarray, clip: float, tiles: int) -> np.ndarray:
    """Apply CLAHE to the luma: contrast limited adaptive histogram equalisation (Zuiderveld 1994).

    Each of tiles x tiles regions has its own curve: the running sum of its histogram. The histogram is first clipped at
    `clip` times its mean, and the excess is spread evenly. Between the centres of regions, curves are interpolated.
    Each channel changes by the change of the luma, so hue and chroma (of YCbCr) are kept.
    OpenCV takes the centre of a region half a pixel too far, so a mirrored image gives the mirror of the result only to
    within a few levels of 255 (findings/opencv-clahe-is-not-symmetric.sh).

    Args:
        image: uint8 (H, W, 3).
        clip: limit of a histogram bin, as a multiple of the mean bin.
        tiles: regions along each side.

    Returns:
        uint8 (H, W, 3).
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    new = cv2.createCLAHE(clip, (tiles, tiles)).apply(luma)
    # Differences of bytes end at 0, so one of the two is 0 in every pixel.
    more, less = cv2.subtract(new, luma), cv2.subtract(luma, new)
    return cv2.subtract(cv2.add(image, cv2.cvtColor(more, cv2.COLOR_GRAY2RGB)), cv2.cvtColor(less, cv2.COLOR_GRAY2RGB))
