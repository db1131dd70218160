"""The images on which the laws of losses are checked, from one pixel on."""

from dataclasses import dataclass

import numpy as np

VOID = 255
SIZES = ((1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 2), (2, 3, 4), (3, 4, 6))
"""Images, height and width of the examples. The last is that on which a law has to hold."""


@dataclass(frozen=True, eq=False)
class Example:
    """A batch of labels and predictions.

    Attributes:
        labels: (B,H,W) uint8 class ids, 255 is void.
        logits: (B,H,W,C) float32.
        weights: (B,H,W) float32, of pixels.
    """

    labels: np.ndarray
    logits: np.ndarray
    weights: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return images, height and width."""
        images, height, width = self.labels.shape
        return images, height, width

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return int(self.logits.shape[-1])

    @property
    def true(self) -> np.ndarray:
        """Return which channel is that of the label: (B,H,W,C) bool, all false on void."""
        return np.arange(self.classes) == self.labels[..., None]

    def __str__(self) -> str:
        images, height, width = self.shape
        size = f"{images} {'image' if images == 1 else 'images'} of {height} x {width} pixels"
        return f"{size}, labels {self.labels.tolist()}" if self.labels.size <= 8 else size


def example(images: int = 3, height: int = 4, width: int = 6, classes: int = 3) -> Example:
    """Return random labels and logits, always the same: with void, and with a class that is absent in one image."""
    random = np.random.default_rng(7)
    logits = random.normal(size=(images, height, width, classes)).astype(np.float32) * 2
    labels = random.integers(0, classes, (images, height, width)).astype(np.uint8)
    if height > 1:
        labels[0, : height // 2] = VOID
    elif width > 1:
        labels[0, 0, 0] = VOID
    if images > 1:
        labels[1, 0, 0] = VOID
    if images > 2:
        labels[2][labels[2] == 1] = 0
    return Example(labels, logits, random.uniform(0.1, 3, (images, height, width)).astype(np.float32))
