"""The scale of a loss's gradient, so that a comparison of losses is not a comparison of learning rates."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from losses.core.base import SegmentationLoss, require
from losses.cross_entropy import CrossEntropy

BLOCK = 8  # pixels: the side of a block of one class
BLOCKS_A_CLASS = 4
NOISE = 1e-4  # on a logit: losses that sort or take a maximum have no gradient at exactly equal logits


class GradientScale(NamedTuple):
    """|d loss / d logits| relative to cross-entropy, before training and when each pixel is right by a margin of 3."""

    initial: float
    at_margin_3: float


def gradient_scale(loss: SegmentationLoss, num_classes: int = 3) -> GradientScale:
    """Return the norm of the gradient in the logits, relative to that of the mean cross-entropy of the same pixels.

    `initial`: all logits are 0, so all probabilities are 1/C. `at_margin_3`: the logit is 3 on the true class and 0 on
    the others, so p_t = e^3 / (e^3 + C - 1); the other channels of a sigmoid stay undecided. Fixed normal noise of
    standard deviation 1e-4 is added to both.

    Convention: one image of square blocks of 8 x 8 pixels, four per class, in a fixed random order; for three classes
    24 x 32 pixels. All classes are present and equally large, and no pixel is void. Losses that measure distances grow
    with the size of the blocks. The norm is the Euclidean one over all logits, so a loss that acts on the share k of
    the pixels has a scale of k^-1/2. A loss that changes in training is measured in its present state. This needs
    eager mode.

    Args:
        loss: any loss of this package, or a sum of them, that takes logits.
        num_classes: C, two or more.

    Raises:
        ValueError: fewer than two classes, or a loss that takes probabilities.
    """
    require(num_classes >= 2, "num_classes", num_classes, "2 or more")
    require(not _takes_probabilities(loss), "loss", loss, "one with from_logits=True")
    labels = layout(num_classes)
    noise = np.random.default_rng(0).normal(scale=NOISE, size=(*labels.shape, num_classes))
    truth = np.eye(num_classes)[labels]
    reference = CrossEntropy()
    return GradientScale(
        *(_norm(loss, labels, logits) / _norm(reference, labels, logits) for logits in (noise, 3.0 * truth + noise))
    )


def calibrated(loss: SegmentationLoss, num_classes: int = 3) -> SegmentationLoss:
    """Return the loss times a factor that makes its gradient before training as large as that of cross-entropy.

    The factor is rounded to four digits, so that it is the same on every machine. In the configuration it is a weight
    of the sum.

    Raises:
        ValueError: as `gradient_scale`, or the loss has no gradient before training.
    """
    return loss * calibration_factor(gradient_scale(loss, num_classes))


def calibration_factor(scale: GradientScale) -> float:
    """Return the factor by which `calibrated` multiplies.

    Raises:
        ValueError: the loss has no gradient before training.
    """
    require(scale.initial > 0.0, "loss", scale, "one with a gradient at uniform probabilities")
    return float(f"{1.0 / scale.initial:.4g}")


def layout(num_classes: int) -> np.ndarray:
    """Return labels (1,H,W) int32 of square blocks, four per class; H x W is as square as whole blocks allow."""
    blocks = np.repeat(np.arange(num_classes, dtype=np.int32), BLOCKS_A_CLASS)
    rows = max(n for n in range(1, int(len(blocks) ** 0.5) + 1) if len(blocks) % n == 0)
    shuffled = np.random.default_rng(0).permutation(blocks).reshape(1, rows, -1)
    return shuffled.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)


def _norm(loss: SegmentationLoss, labels: np.ndarray, logits: np.ndarray) -> float:
    variable = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = tf.reduce_mean(loss.call(tf.constant(labels), variable))
    return float(tf.norm(tape.gradient(value, variable)))


def _takes_probabilities(loss: SegmentationLoss) -> bool:
    parts = (part for _, part in getattr(loss, "terms", ()))
    return not getattr(loss, "from_logits", True) or any(map(_takes_probabilities, parts))
