"""Pixel weights of training samples, computed from the labels after augmentation. Void pixels have weight 0."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np

from bench.core import IGNORE_INDEX

PixelWeights = Literal["none", "balanced", "frequency", "unet"]
Weigher = Callable[[np.ndarray], np.ndarray]


def weigher(kind: PixelWeights, labels: Iterable[np.ndarray], background: int = 0) -> Weigher | None:
    """Return a function from a label uint8 (H, W) to weights float32 (H, W); None for "none".

    Args:
        kind: "balanced": each class in the sample has the same total weight; the mean weight is 1
            (losses.pixel_weights). "frequency": the same over the whole training set, N / (K n_c), so a rare class
            weighs more in every sample. "unet": "balanced" plus extra weight between objects that are close to each
            other (Ronneberger et al. 2015).
        labels: all training labels, uint8 (H, W) each. Read for "frequency" only.
        background: id of the class that is not an object, for "unet".
    """
    if kind == "none":
        return None
    if kind == "frequency":
        table = by_frequency(labels)
        return lambda label: table[label]
    from losses import pixel_weights

    if kind == "unet":
        return functools.partial(pixel_weights.unet_weights, background=background)
    return lambda label: pixel_weights.balanced(label, IGNORE_INDEX)


def by_frequency(labels: Iterable[np.ndarray]) -> np.ndarray:
    """Return the weight per class id, float32 (256,): N / (K n_c).

    N is the number of valid pixels, K the number of classes that occur, n_c the number of pixels of class c. Void and
    classes that do not occur have weight 0.
    """
    pixels = sum((np.bincount(label.ravel(), minlength=256) for label in labels), np.zeros(256, np.int64))
    pixels[IGNORE_INDEX] = 0
    some = np.count_nonzero(pixels)
    return np.divide(pixels.sum(), some * pixels, out=np.zeros(256), where=pixels > 0).astype(np.float32)
