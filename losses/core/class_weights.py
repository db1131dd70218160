"""Class weights and priors from the pixel counts of a data set: plain NumPy, for `class_weights` of a loss.

Counts are numbers >= 0, one a class (C,); results are float64 (C,). A class without a pixel has weight 0: its
frequency says nothing (each formula would give it infinity or the largest weight of all), and no pixel would carry the
weight but in losses that ask each channel about every pixel, where it would outweigh the classes that exist.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = NDArray[np.float64]


def median_frequency(pixels: ArrayLike, present_pixels: ArrayLike) -> Weights:
    """median(f) / f_c, f_c = pixels of c / pixels of the images that have c (Eigen and Fergus 2015, arXiv 1411.4734).

    Args:
        pixels: the valid pixels of each class.
        present_pixels: the valid pixels, of any class, of the images in which the class occurs.

    Convention: the median is taken over the classes that occur.
    """
    counts, of_images = _counts(pixels), _counts(present_pixels)
    if counts.shape != of_images.shape or (of_images < counts).any():
        raise ValueError(f"present_pixels must be one number >= pixels a class, got {of_images} for {counts}")
    some = counts > 0
    frequency = counts[some] / of_images[some]
    return _spread(np.median(frequency) / frequency, some)


def enet(pixels: ArrayLike, c: float = 1.02) -> Weights:
    """1 / ln(c + f_c), f_c the share of class c of all pixels (Paszke et al. 2016, arXiv 1606.02147).

    c bounds the weights: with 1.02 they go from 1.4 to 50.
    """
    if not c > 1.0:
        raise ValueError(f"c must be a number > 1, got {c!r}")
    share = priors(pixels)
    some = share > 0
    return _spread(1.0 / np.log(c + share[some]), some)


def effective_number(pixels: ArrayLike, beta: float = 0.999) -> Weights:
    """(1 - beta) / (1 - beta^n_c), brought to the sum C (Cui et al. 2019, arXiv 1901.05555).

    beta = 0 weighs all classes alike, beta -> 1 by inverse frequency; the paper tries 0.9, 0.99, 0.999 and 0.9999.

    Convention: the paper counts images; n_c pixels are many and alike, so beta = 1 - 1/N with N far larger, such as
    the pixels of an image, may be needed for any effect. The sum C counts all classes, the weight is that of those
    that occur.
    """
    if not 0.0 <= beta < 1.0:
        raise ValueError(f"beta must be a number in [0, 1), got {beta!r}")
    counts = _counts(pixels)
    some = counts > 0
    with np.errstate(divide="ignore"):  # ln 0 = -inf is right for beta = 0
        weights = -(1.0 - beta) / np.expm1(counts[some] * np.log(beta))
    return _spread(weights * len(counts) / weights.sum(), some)


def priors(pixels: ArrayLike) -> Weights:
    """The share of each class of all pixels, 0 for one that is absent."""
    counts = _counts(pixels)
    return counts / counts.sum()


def _counts(pixels: ArrayLike) -> Weights:
    counts = np.asarray(pixels, np.float64)
    if counts.ndim != 1 or not np.isfinite(counts).all() or (counts < 0).any() or counts.sum() == 0:
        raise ValueError(f"pixel counts must be one number >= 0 a class, not all 0, got {pixels!r}")
    return counts


def _spread(weights: Weights, some: NDArray[np.bool_]) -> Weights:
    """Weights of the classes that occur as weights of all, 0 for the others."""
    full = np.zeros(some.shape)
    full[some] = weights
    return full
