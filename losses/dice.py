"""Dice loss and its variants: squared, log-cosh and logarithmic."""

import tensorflow as tf

from losses.core.overlap import Overlap, OverlapLoss, overlap
from losses.core.registry import register


@register("dice")
class Dice(OverlapLoss):
    """1 - 2 tp / (2 tp + fp + fn) = 1 - 2 sum(p g) / (sum p + sum g), the mean over classes.

    Milletari et al. 2016 (V-Net, arXiv 1606.04797) with the plain denominator of Drozdzal et al. 2016
    (arXiv 1608.04117). With `smooth` s it is 1 - (2 tp + s) / (2 tp + fp + fn + s).

    Convention: a mean over classes of ratios, never one ratio of sums over classes, which for a softmax is no overlap
    at all but the mean probability of the true class. Classes, void, smoothing and averaging: see `OverlapLoss`.

    Use: when overlap is what counts and classes are of unequal size; slow and noisy at the start of a training.
    """

    identities = (({}, "tversky", {"alpha": 0.5, "beta": 0.5}),)

    def per_class(self, counts: Overlap) -> tf.Tensor:
        errors = counts.fp + counts.fn
        return tf.math.divide_no_nan(errors, 2.0 * counts.tp + errors + self.smooth)


@register("squared_dice")
class SquaredDice(Dice):
    """1 - 2 sum(p g) / (sum p^2 + sum g^2), the mean over classes: V-Net's own denominator.

    Milletari et al. 2016 (arXiv 1606.04797). The errors are sum (p-g)^2, so a nearly right pixel hardly counts.

    Convention: as in `Dice`.

    Use: where plain Dice drives probabilities to 0 and 1 too early; its gradient vanishes near the truth.
    """

    identities = (({}, "noise_robust_dice", {"gamma": 2.0}),)

    def counts(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> Overlap:
        return overlap(self.probabilities(logits), targets, weight, self.average, squared=True)


@register("log_cosh_dice")
class LogCoshDice(Dice):
    """ln cosh(1 - D_c) of each class's Dice score D_c, the mean over classes (Jadon 2020, arXiv 2006.14822).

    Convention: the function is taken for each class, before the mean; the paper has two classes and one score.

    Use: a Dice whose gradient vanishes smoothly near the truth; at the start it is weaker than Dice.
    """

    def per_class(self, counts: Overlap) -> tf.Tensor:
        half = 0.5 * super().per_class(counts)
        return tf.math.log1p(2.0 * tf.square(tf.sinh(half)))  # cosh x = 1 + 2 sinh^2(x/2): exact near 0


@register("log_dice")
class LogDice(Dice):
    """-ln D_c of each class's Dice score D_c = 2 tp / (2 tp + fp + fn), the mean over classes.

    The form that Wong et al. 2018 (arXiv 1809.00076) raise to a power (see `exp_log`).

    Convention: with `smooth` s, D_c = (2 tp + s) / (2 tp + fp + fn + s). A class that is missed altogether has, without
    smoothing, a loss without bound; in float32 it ends at 69 = -ln 1e-30, and the ln of its errors in pixels.

    Use: when a class is not predicted at all at the start: unlike Dice's, its gradient grows as the score falls.
    """

    identities = (({}, "exp_log_dice", {"exponent": 1.0}),)

    def per_class(self, counts: Overlap) -> tf.Tensor:
        return log_dice(counts, self.smooth)


def log_dice(counts: Overlap, smooth: float) -> tf.Tensor:
    """Return -ln of the Dice scores (groups, C); it is 0 for an empty class, and finite for a class that is missed."""
    score = 2.0 * counts.tp + smooth
    errors = counts.fp + counts.fn
    met = tf.maximum(score, 1e-30)
    # log1p of the ratio keeps all digits of a score close to 1. For a large ratio its gradient contains errors / met^2,
    # which exceeds float32.
    large = errors > met
    close = tf.math.log1p(tf.where(large, 1.0, errors) / tf.where(large, 1.0, met))
    return tf.where(large, tf.math.log(met + errors) - tf.math.log(met), close)
