"""Augment one sample by a policy and uniform numbers: blur, colours, one warp, CLAHE, cutout; and mix two samples.

A sample is an image uint8 (H, W, 3) and a label uint8 (H, W). Label values are copied or set to void (ignore_index),
never blended. Pixels that a warp takes from outside the image are void.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from bench.core import IGNORE_INDEX
from bench.data import image_ops
from bench.data.dataset import Pair
from bench.data.image_ops import Affine, Window
from bench.spec import AugmentationPolicy, at

_DRAWS = (
    "flip", "vertical_flip", "top", "left", "scale", "rotate", "down", "across",
    "blur", "sigma", "gamma", "brightness", "contrast", "hue", "saturation",
    "cutout", "cutout_side", "cutout_top", "cutout_left",
    "mix", "mix_with", "mix_area", "mix_top", "mix_left",
)  # fmt: skip
"""Names of the random numbers of a sample. One number is drawn per name, whether it is used or not, so enabling another
augmentation leaves the existing ones unchanged. New names are appended at the end."""

Draws = Mapping[str, float]


def draws(generator: np.random.Generator) -> dict[str, float]:
    """Return one uniform number in [0, 1) per random choice of a sample, by name."""
    return dict(zip(_DRAWS, generator.random(len(_DRAWS)).tolist(), strict=True))


class Prepared(NamedTuple):
    """A decoded training image with its label.

    Attributes:
        image: uint8 (H, W, 3).
        label: class ids, uint8 (H, W).
        mean: the mean colour of the image, uint8 (3,). It fills pixels outside the image.
    """

    image: np.ndarray
    label: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True)
class Sample:
    """How an image becomes an augmented sample. Nothing is computed yet, so a part of the sample costs only a part.

    Attributes:
        source: the image.
        whole: all rows and columns of the sample.
        affine: map from the sample to the image.
        sigma: standard deviation of the blur in pixels; None for no blur.
        colors: tone curve and colour matrix, see `image_ops.recolored`; None for no change.
        mean: the colour of what lies outside the image or is cut out, uint8 (3,).
        clahe: clip and tiles of the equalisation at the end, see `image_ops.equalized`; None for none.
        cut: the square that is cut out; None for none.
    """

    source: Prepared
    whole: Window
    affine: Affine
    sigma: float | None
    colors: tuple[np.ndarray, np.ndarray | None] | None
    mean: np.ndarray
    clahe: tuple[float, int] | None
    cut: Window | None

    def image(self, window: Window) -> np.ndarray:
        """Return these rows and columns of the sample's image, uint8 (rows, columns, 3), as a new array."""
        if self.clahe:  # its curves depend on the whole image
            image = image_ops.equalized(self._warped(self.whole), *self.clahe)[window]
        else:
            image = self._warped(window)
        return self._without_cut(image, window, self.mean)

    def label(self, window: Window) -> np.ndarray:
        """Return these rows and columns of the sample's label, uint8 (rows, columns), as a new array."""
        label = image_ops.warped(
            self.source.label, self.affine.seen_by(*window), image_ops.extent(window), IGNORE_INDEX
        )
        return self._without_cut(label, window, IGNORE_INDEX)

    def _warped(self, window: Window) -> np.ndarray:
        affine, size = self.affine.seen_by(*window), image_ops.extent(window)
        margin = 0 if self.sigma is None else image_ops.blur_reach(self.sigma)
        region = affine.region(*size, self.source.label.shape, margin)
        part = self.source.image[region]
        if part.size and self.sigma is not None:
            part = image_ops.blurred(part, self.sigma)
        if part.size and self.colors:
            part = image_ops.recolored(part, *self.colors)
        return image_ops.warped(part, affine.seen_from(*region), size, self.mean)

    def _without_cut(self, array: np.ndarray, window: Window, fill: np.ndarray | int) -> np.ndarray:
        if self.cut:
            rows, columns = (
                slice(max(cut.start - seen.start, 0), min(cut.stop, seen.stop) - seen.start)
                for cut, seen in zip(self.cut, window, strict=True)
            )
            image_ops.fill(array, (rows, columns), fill)
        return array


def sample(source: Prepared, policy: AugmentationPolicy, crop: int, u: Draws) -> Sample:
    """Return how `source` is augmented.

    Args:
        crop: side of the sample in pixels.
        u: uniform numbers in [0, 1), by name, see `draws`.
    """
    colors = _colors_of(policy, u)
    blurs = policy.blur and u["blur"] < policy.blur.probability
    cuts = policy.cutout and u["cutout"] < policy.cutout.probability
    return Sample(
        source,
        whole=(slice(0, crop), slice(0, crop)),
        affine=_warp_of(source.label.shape, policy, crop, u),
        sigma=at(policy.blur.sigma, u["sigma"], 0.0) if policy.blur and blurs else None,
        colors=colors,
        mean=image_ops.recolored(source.mean[None, None], *colors)[0, 0] if colors else source.mean,
        clahe=(policy.clahe.clip, policy.clahe.tiles) if policy.clahe else None,
        cut=_square(crop, at(policy.cutout.side, u["cutout_side"], 0.0), u["cutout_top"], u["cutout_left"])
        if policy.cutout and cuts
        else None,
    )


def augmented(source: Prepared, policy: AugmentationPolicy, crop: int, u: Draws) -> Pair:
    """Return an augmented sample of one image: uint8 (crop, crop, 3) and (crop, crop). `mixed` does the mixing.

    Args: see `sample`.
    """
    made = sample(source, policy, crop, u)
    return made.image(made.whole), made.label(made.whole)


def _warp_of(shape: tuple[int, ...], policy: AugmentationPolicy, crop: int, u: Draws) -> Affine:
    reach = policy.translate * crop
    return image_ops.window_of(
        shape,
        (crop, crop),
        scale=max(at(policy.scale, u["scale"], 1.0), 0.1),
        place=(u["top"], u["left"]),
        shift=(round(reach * (2 * u["down"] - 1)), round(reach * (2 * u["across"] - 1))),
        degrees=at(policy.rotate, u["rotate"], 0.0),
        mirror=(u["flip"] < policy.flip, u["vertical_flip"] < policy.vertical_flip),
    )


def _colors_of(policy: AugmentationPolicy, u: Draws) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return the tone curve and the colour matrix, or None when neither changes anything."""
    gamma = max(at(policy.gamma, u["gamma"], 1.0), 0.05)
    tone = gamma, at(policy.brightness, u["brightness"], 0.0), at(policy.contrast, u["contrast"], 1.0)
    matrix = image_ops.color_matrix(at(policy.hue, u["hue"], 0.0), at(policy.saturation, u["saturation"], 1.0))
    return None if tone == (1, 0, 1) and matrix is None else (image_ops.tone_curve(*tone), matrix)


def _square(crop: int, share: float, top: float, left: float) -> Window:
    side = round(crop * share)
    row, column = (int(place * (crop - side + 1)) for place in (top, left))
    return slice(row, row + side), slice(column, column + side)


# --- two samples -----------------------------------------------------------------------------------------------------


def mixes(policy: AugmentationPolicy, u: Draws) -> bool:
    """Return whether this sample is mixed with a second one."""
    return u["mix"] < policy.cutmix + policy.classmix


def mixed(one: Sample, other: Sample, policy: AugmentationPolicy, u: Draws) -> Pair:
    """Return `one` with parts of `other` pasted over image and label. Only these parts of `other`'s image are computed.

    The parts are a rectangle (CutMix, Yun et al. 2019) or half of the classes of `other` (ClassMix).
    """
    image, label = one.image(one.whole), one.label(one.whole)
    if u["mix"] < policy.cutmix:
        window = _rectangle(label.shape, u)
        if min(image_ops.extent(window)) > 0:
            image[window], label[window] = other.image(window), other.label(window)
        return image, label
    theirs = other.label(other.whole)
    mask = _half_of_the_classes(theirs, u)
    x, y, width, height = cv2.boundingRect(mask)
    if width:
        window = slice(y, y + height), slice(x, x + width)
        cv2.copyTo(other.image(window), mask[window], image[window])
        cv2.copyTo(theirs, mask, label)
    return image, label


def _rectangle(shape: tuple[int, ...], u: Draws) -> Window:
    """Return the rows and columns of a rectangle, as in Yun et al. 2019.

    It has the aspect ratio of the sample, a uniform share of its area and a uniform centre. It is cut at the border.
    """
    side = math.sqrt(u["mix_area"])
    rows, columns = (
        slice(max(0, round(extent * (place - side / 2))), min(extent, max(0, round(extent * (place + side / 2)))))
        for extent, place in zip(shape, (u["mix_top"], u["mix_left"]), strict=True)
    )
    return rows, columns


def _half_of_the_classes(label: np.ndarray, u: Draws) -> np.ndarray:
    """Return where the label has one of a random half of its classes, 255 there and else 0, uint8 (H, W).

    Void is not a class.
    """
    present = np.flatnonzero(cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()[:IGNORE_INDEX])
    chosen = np.zeros(256, np.uint8)
    order = np.random.Generator(np.random.PCG64(int(u["mix_area"] * 2**53))).permutation(present)
    chosen[order[: (len(order) + 1) // 2]] = 255
    return cv2.LUT(label, chosen)
