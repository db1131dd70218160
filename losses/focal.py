"""Focal losses: cross-entropy with less weight where the model is already right."""

import tensorflow as tf

from losses.core.base import require
from losses.core.pixelwise import SigmoidLoss, SoftmaxLoss
from losses.core.registry import register


def focus(surprisal: tf.Tensor, gamma: float) -> tf.Tensor:
    """Return (1-p)^gamma (-ln p), elementwise, from the surprisal -ln p >= 0; see `miss_power`."""
    return surprisal if gamma == 0.0 else miss_power(surprisal, gamma) * surprisal


def miss_power(surprisal: tf.Tensor, gamma: float) -> tf.Tensor:
    """Return (1-p)^gamma, elementwise, from the surprisal -ln p >= 0.

    It is computed in log space as exp(gamma ln(1-p)), because for gamma < 1 a power has an infinite slope at p = 1. The
    floor stands for p = 1: value and gradient are 0 there in float32, as they are in the limit. No probability is
    clipped, so a pixel that is wrong by any margin has the gradient of cross-entropy.
    """
    return tf.exp(gamma * tf.math.log(tf.maximum(-tf.math.expm1(-surprisal), 1e-30)))


@register("focal")
class Focal(SoftmaxLoss):
    """-(1-p_t)^gamma ln p_t of a softmax, each pixel by itself, the mean over valid pixels.

    Lin et al. 2017 (arXiv 1708.02002), gamma = 2, carried from the sigmoid to the softmax.

    Convention: the factor is taken pixel by pixel, not of the mean; there is no alpha (one number for all classes
    would be a scale; use `class_weights`); the divisor is the number of valid pixels.

    Use: many easy pixels. Near the truth its gradient nearly vanishes, so learning stops early, and probabilities stay
    far from 0 and 1.
    """

    gamma: float = 2.0

    identities = (({"gamma": 0.0}, "cross_entropy", {}),)

    def check(self) -> None:
        require(self.gamma >= 0.0, "gamma", self.gamma, "a number >= 0")

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return focus(surprisal, self.gamma)


@register("sigmoid_focal")
class SigmoidFocal(SigmoidLoss):
    """-alpha_t (1-s_t)^gamma ln s_t of each channel's sigmoid; alpha_t is alpha on positives, 1 - alpha on negatives.

    Lin et al. 2017 (arXiv 1708.02002), alpha = .25, gamma = 2; `alpha=None` leaves alpha_t out.

    Convention: the mean over channels and valid pixels (see `SigmoidLoss`), not the sum over the number of
    positives that the paper's detector uses.

    Use: as `focal`, for classes that may overlap or a single one.
    """

    gamma: float = 2.0
    alpha: float | None = 0.25

    identities = (({"gamma": 0.0, "alpha": None}, "bce", {}),)

    def check(self) -> None:
        require(self.gamma >= 0.0, "gamma", self.gamma, "a number >= 0")
        require(self.alpha is None or 0.0 <= self.alpha <= 1.0, "alpha", self.alpha, "in [0, 1] or None")

    def sides(self) -> tuple[float, float]:
        return (1.0, 1.0) if self.alpha is None else (self.alpha, 1.0 - self.alpha)

    def of_margin(self, margin: tf.Tensor) -> tf.Tensor:
        surprisal = tf.nn.softplus(-margin)
        return tf.exp(-self.gamma * (margin + surprisal)) * surprisal  # ln(1 - s_t) = -margin + ln s_t
