"""Augment one sample by a policy and uniform numbers: blur, colours, one warp, CLAHE, cutout; and mix two samples.

A sample is an image uint8 (H, W, 3) and a label uint8 (H, W). Label values are copied or set to void (ignore_index),
never blended. Pixels that a warp takes from outside the image are void.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from bench.core import IGNORE_INDEX
from bench.data import image_ops
from bench.data.dataset import Pair
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
        pixels: uint8 (H, W, 4): red, green, blue and the label.
        mean: the mean colour of the image, uint8 (3,). It fills pixels outside the image.
    """

    pixels: np.ndarray
    mean: np.ndarray


def augmented(source: Prepared, policy: AugmentationPolicy, crop: int, u: Draws) -> Pair:
    """Return an augmented sample of one image: uint8 (crop, crop, 3) and (crop, crop). `mixed` does the mixing.

    Args:
        crop: side of the sample in pixels.
        u: uniform numbers in [0, 1), by name, see `draws`.
    """
    height, width = source.pixels.shape[:2]
    affine = _warp_of((height, width), policy, crop, u)
    rows, columns = affine.region(crop, crop, (height, width))
    part = source.pixels[rows, columns]
    lanes = image_ops.to_lanes(part)
    if policy.blur and u["blur"] < policy.blur.probability:
        lanes = image_ops.blurred(lanes, at(policy.blur.sigma, u["sigma"], 0.0))
    mean = source.mean[None, None]
    if colors := _colors_of(policy, u):
        lanes = image_ops.recolored(image_ops.channels(lanes), *colors)
        mean = image_ops.channels(image_ops.recolored(mean, *colors))
    fill = int(mean[0, 0] @ np.array([1, 1 << 16, 1 << 32]))
    image, label = image_ops.warp(
        lanes, part[..., 3], affine.seen_from(rows, columns), (crop, crop), fill, IGNORE_INDEX
    )
    if policy.clahe:
        image = image_ops.equalized(image, policy.clahe.clip, policy.clahe.tiles)
    if policy.cutout and u["cutout"] < policy.cutout.probability:
        place = _square(crop, at(policy.cutout.side, u["cutout_side"], 0.0), u["cutout_top"], u["cutout_left"])
        image[place], label[place] = mean[0, 0], IGNORE_INDEX
    return image, label


def _warp_of(shape: tuple[int, int], policy: AugmentationPolicy, crop: int, u: Draws) -> image_ops.Affine:
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


def _square(crop: int, share: float, top: float, left: float) -> tuple[slice, slice]:
    side = round(crop * share)
    row, column = (int(place * (crop - side + 1)) for place in (top, left))
    return slice(row, row + side), slice(column, column + side)


# --- two samples -----------------------------------------------------------------------------------------------------


def mixes(policy: AugmentationPolicy, u: Draws) -> bool:
    """Return whether this sample is mixed with a second one."""
    return u["mix"] < policy.cutmix + policy.classmix


def mixed(sample: Pair, other: Pair, policy: AugmentationPolicy, u: Draws) -> Pair:
    """Return `sample` with parts of `other` pasted over image and label.

    The parts are a rectangle (CutMix, Yun et al. 2019) or half of the classes of `other` (ClassMix).
    """
    mask = _rectangle(sample[1].shape, u) if u["mix"] < policy.cutmix else _half_of_the_classes(other[1], u)
    return np.where(mask[..., None], other[0], sample[0]), np.where(mask, other[1], sample[1])


def _rectangle(shape: tuple[int, ...], u: Draws) -> np.ndarray:
    """Return the mask of a rectangle, bool (H, W), as in Yun et al. 2019.

    It has the aspect ratio of the sample, a uniform share of its area and a uniform centre. It is cut at the border.
    """
    side = math.sqrt(u["mix_area"])
    mask = np.zeros(shape, bool)
    mask[
        tuple(
            slice(max(0, round(extent * (place - side / 2))), max(0, round(extent * (place + side / 2))))
            for extent, place in zip(shape, (u["mix_top"], u["mix_left"]), strict=True)
        )
    ] = True
    return mask


def _half_of_the_classes(label: np.ndarray, u: Draws) -> np.ndarray:
    """Return where the label has one of a random half of its classes, bool (H, W). Void is not a class."""
    present = np.flatnonzero(np.bincount(label.ravel(), minlength=256)[:IGNORE_INDEX])
    chosen = np.zeros(256, bool)
    order = np.random.Generator(np.random.PCG64(int(u["mix_area"] * 2**53))).permutation(present)
    chosen[order[: (len(order) + 1) // 2]] = True
    return chosen[label]
