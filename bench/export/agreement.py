"""How far a written file agrees with the model in Keras, measured with the file's own runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from bench.export.formats import Found
from results import counted

TOLERANCE = 1e-3
"""Largest difference of a probability that is rounding: single precision, summed in another order."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of a file with Keras over some images.

    Attributes:
        sizes: (height, width) of each image, pixels.
        difference: largest absolute difference of a probability.
        pixels: number of pixels.
        ties: pixels whose labels differ, and whose two probabilities differ by no more than rounding explains.
        wrong: pixels whose labels differ for another reason.
    """

    sizes: tuple[tuple[int, int], ...]
    difference: float
    pixels: int
    ties: int
    wrong: int

    @property
    def good(self) -> bool:
        """Return whether the file computes what the model does, up to rounding."""
        return self.difference <= TOLERANCE and self.wrong == 0

    def __str__(self) -> str:
        sizes = ", ".join(f"{height} x {width}" for height, width in self.sizes)
        ties = f"all {self.pixels} labels equal"
        if self.ties:
            ties = f"{self.ties} of {self.pixels} labels {'differs' if self.ties == 1 else 'differ'}, at ties"
        wrong = f"; {counted(self.wrong, 'wrong label')}" if self.wrong else ""
        return f"probabilities differ by at most {self.difference:.1e}, {ties}{wrong} ({sizes} pixels)"


def compared(
    images: Iterable[np.ndarray], keras: Callable[[np.ndarray], Found], runtime: Callable[[np.ndarray], Found]
) -> Agreement:
    """Run images through both and compare.

    A label may differ where Keras's probabilities of the two classes are closer than twice the largest difference of
    the image: then rounding alone decides.

    Args:
        images: each uint8 (1, H, W, 3).
        keras, runtime: from images to labels (1, H, W) and probabilities (1, H, W, C).
    """
    sizes, difference, pixels, ties, wrong = [], 0.0, 0, 0, 0
    for image in images:
        (labels, expected), (given, found) = keras(image), runtime(image)
        assert given.shape == image.shape[:3], f"labels {given.shape} of images {image.shape}"
        apart = float(np.abs(found - expected).max())
        differ = given != labels
        close = _gap(expected, labels, given) <= 2 * apart
        sizes.append((image.shape[1], image.shape[2]))
        difference, pixels = max(difference, apart), pixels + labels.size
        ties, wrong = ties + int((differ & close).sum()), wrong + int((differ & ~close).sum())
    return Agreement(tuple(sizes), difference, pixels, ties, wrong)


def _gap(probabilities: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return how far the probabilities of two labels are apart at each pixel; of one channel, those of 0 and 1."""
    if probabilities.shape[-1] == 1:
        return np.abs(2 * probabilities[..., 0] - 1)
    first, second = (
        np.take_along_axis(probabilities, labels[..., None].astype(np.int64), -1)[..., 0] for labels in (one, other)
    )
    return np.abs(first - second)
