"""Pixel weights of one label map, computed on the host, for the `sample_weight` of a loss.

A label map holds class ids (H,W) of any integer type. Weights are float32 (H,W), 0 on void. Only their ratios matter.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

REACH = 8.0  # in sigma: exp(-8^2 / 2) = 1.3e-14, beyond the last digit of any weight


def balanced(label: ArrayLike, classes: int, ignore_index: int | None = 255) -> NDArray[np.float32]:
    """Return the inverse class frequencies of this image, float32 (H,W): N / (K n_c), 0 on void.

    N counts the valid pixels of the image, K the classes present, and n_c the pixels of class c. Each class present has
    the same total weight, and the mean weight of the valid pixels is 1. The result is class-balanced cross-entropy with
    the frequencies of each image in place of those of the data set.

    Args:
        label: class ids (H,W).
        classes: number of classes.
        ignore_index: the id of void pixels; None: there are none.

    Raises:
        ValueError: not (H,W), or an id outside 0..classes-1 that is not `ignore_index`.
    """
    ids, valid = _ids(label, ignore_index)
    if valid.any():
        low, high = int(np.min(ids[valid])), int(np.max(ids[valid]))
        if low < 0 or high >= classes:
            raise ValueError(f"label has class ids {low}..{high}, expected 0..{classes - 1} (void is {ignore_index})")
    pixels = np.bincount(ids[valid], minlength=classes)
    of_class = np.divide(pixels.sum(), np.count_nonzero(pixels) * pixels, where=pixels > 0, out=np.zeros(classes))
    weights = np.zeros(ids.shape, np.float32)
    weights[valid] = of_class[ids[valid]]
    return weights


def unet_weights(
    label: ArrayLike,
    w0: float = 10.0,
    sigma: float = 5.0,
    ignore_index: int | None = 255,
    background: int = 0,
    balance: bool = True,
) -> NDArray[np.float32]:
    """Return w_c + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), float32 (H,W): more weight where two objects come close.

    d1 and d2 are the distances in pixels to the nearest and the second nearest object. The cost is one distance
    transform per object, of its bounding box and 8 sigma around it.

    Args:
        label: class ids (H,W).
        w0: weight of the second term.
        sigma: width of the second term, pixels, above 0.
        ignore_index: the id of void pixels; None: there are none.
        background: the class id whose pixels belong to no object.
        balance: take w_c from `balanced`, with mean 1; otherwise it is 1 everywhere.

    Convention: an object is a 4-connected component of a class other than `background`. The second term is added to
    background pixels alone, because they form the border that must be learned. With fewer than two objects there is no
    second term.

    Source: Ronneberger et al. (2015, arXiv 1505.04597), U-Net, equation 2.

    Raises:
        ValueError: not (H,W), sigma not above 0, or, with `balance`, a negative id.
    """
    if not sigma > 0.0:
        raise ValueError(f"sigma must be a number > 0, got {sigma!r}")
    ids, valid = _ids(label, ignore_index)
    classes = int(np.max(ids[valid])) + 1 if valid.any() else 0
    weights = balanced(ids, classes, ignore_index) if balance else valid.astype(np.float32)
    d1, d2 = _distances_to_two_objects(np.where(valid, ids, background), background, math.ceil(REACH * sigma))
    between = w0 * np.exp(-np.square((d1 + d2) / sigma) / 2.0)
    return (weights + np.where(valid & (ids == background), between, 0.0)).astype(np.float32)


def _distances_to_two_objects(
    ids: NDArray[np.int64], background: int, reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distances (H,W) to the nearest and second nearest object, inf where it is farther than about `reach`."""
    nearest, second = np.full(ids.shape, np.inf), np.full(ids.shape, np.inf)
    for class_id in np.unique(ids[ids != background]):
        objects, _ = ndimage.label(ids == class_id)
        for number, box in enumerate(ndimage.find_objects(objects), start=1):
            around = tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in box)
            distance = ndimage.distance_transform_edt(objects[around] != number)
            second[around] = np.minimum(second[around], np.maximum(nearest[around], distance))
            nearest[around] = np.minimum(nearest[around], distance)
    return nearest, second


def _ids(label: ArrayLike, ignore_index: int | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the label map as an integer array, and the mask of its valid pixels."""
    ids = np.asarray(label)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"label must be class ids (H,W) of an integer type, got {ids.dtype} {ids.shape}")
    ids = ids.astype(np.int64)
    return ids, np.ones(ids.shape, bool) if ignore_index is None else ids != ignore_index
