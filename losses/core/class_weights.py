"""Class weights and priors from the pixel counts of a data set: plain NumPy, for `class_weights` of a loss.

Counts have shape (C,), one number >= 0 per class. Results are float64 (C,). A class without a pixel has weight 0: its
frequency is not known, and each formula would give it infinity or the largest weight of all. No pixel would carry that
weight, except in losses that ask each channel about every pixel, where it would outweigh the classes that exist.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = NDArray[np.float64]


def median_frequency(pixels: ArrayLike, present_pixels: ArrayLike) -> Weights:
    """Return median(f) / f_c, where f_c = pixels of c / pixels of the images that have c.

    Args:
        pixels: the valid pixels of each class.
        present_pixels: the valid pixels, of any class, of the images in which the class occurs.

    Raises:
        ValueError: counts that are no finite numbers >= 0 or all 0, or `present_pixels` of another shape or below
            `pixels`.

    Convention: the median is taken over the classes that occur.

    Source: Eigen and Fergus (2015, arXiv 1411.4734).
    """
    counts, of_images = _counts(pixels), _counts(present_pixels)
    if counts.shape != of_images.shape or (of_images < counts).any():
        raise ValueError(f"present_pixels must be one number >= pixels per class, got {of_images} for {counts}")
    some = counts > 0
    frequency = counts[some] / of_images[some]
    return _spread(np.median(frequency) / frequency, some)


def enet(pixels: ArrayLike, c: float = 1.02) -> Weights:
    """Return 1 / ln(c + f_c), where f_c is the share of class c in all pixels.

    Args:
        pixels: the valid pixels of each class.
        c: above 1; it bounds the weights: with 1.02 they go from 1.4 to 50.

    Raises:
        ValueError: counts that are no finite numbers >= 0 or all 0, or `c` out of range.

    Source: Paszke et al. (2016, arXiv 1606.02147).
    """
    if not c > 1.0:
        raise ValueError(f"c must be a number > 1, got {c!r}")
    share = priors(pixels)
    some = share > 0
    return _spread(1.0 / np.log(c + share[some]), some)


def effective_number(pixels: ArrayLike, beta: float = 0.999) -> Weights:
    """Return (1 - beta) / (1 - beta^n_c), scaled so that the weights sum to C.

    Args:
        pixels: the valid pixels n_c of each class.
        beta: in [0, 1). With 0 all classes weigh the same; towards 1 the weights approach inverse frequency. The paper
            tries 0.9, 0.99, 0.999 and 0.9999.

    Raises:
        ValueError: counts that are no finite numbers >= 0 or all 0, or `beta` out of range.

    Convention: the paper counts images. Pixels are far more numerous and much alike, so beta = 1 - 1/N with a far
    larger N, such as the number of pixels in an image, may be needed for any effect. The sum C counts all classes;
    only those that occur share it.

    Source: Cui et al. (2019, arXiv 1901.05555).
    """
    if not 0.0 <= beta < 1.0:
        raise ValueError(f"beta must be a number in [0, 1), got {beta!r}")
    counts = _counts(pixels)
    some = counts > 0
    with np.errstate(divide="ignore"):  # ln 0 = -inf is right for beta = 0
        weights = -(1.0 - beta) / np.expm1(counts[some] * np.log(beta))
    return _spread(weights * len(counts) / weights.sum(), some)


def priors(pixels: ArrayLike) -> Weights:
    """Return the share of each class in all pixels, 0 for a class that is absent.

    Raises:
        ValueError: counts that are no finite numbers >= 0, or all 0.
    """
    counts = _counts(pixels)
    return counts / counts.sum()


def _counts(pixels: ArrayLike) -> Weights:
    counts = np.asarray(pixels, np.float64)
    if counts.ndim != 1 or not np.isfinite(counts).all() or (counts < 0).any() or counts.sum() == 0:
        raise ValueError(f"pixel counts must be one number >= 0 per class, not all 0, got {pixels!r}")
    return counts


def _spread(weights: Weights, some: NDArray[np.bool_]) -> Weights:
    """Return the weights of all classes (C,) from those of the classes that occur; the others get 0."""
    full = np.zeros(some.shape)
    full[some] = weights
    return full
