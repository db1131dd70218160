"""Dice loss."""

import tensorflow as tf

from losses.overlap import Overlap, OverlapLoss
from losses.registry import register


@register("dice")
class Dice(OverlapLoss):
    """1 - 2 tp / (2 tp + fp + fn) = 1 - 2 sum(p g) / (sum p + sum g), the mean over classes.

    Milletari et al. 2016 (V-Net, arXiv 1606.04797) with the plain denominator of Drozdzal et al. 2016
    (arXiv 1608.04117). With `smooth` s it is 1 - (2 tp + s) / (2 tp + fp + fn + s).

    Convention: a mean over classes of ratios, never one ratio of sums over classes, which for a softmax is no overlap
    at all but the mean probability of the true class. Classes, void, smoothing and averaging: see `OverlapLoss`.
    """

    identities = (({}, "tversky", {"alpha": 0.5, "beta": 0.5}),)

    def per_class(self, counts: Overlap) -> tf.Tensor:
        errors = counts.fp + counts.fn
        return tf.math.divide_no_nan(errors, 2.0 * counts.tp + errors + self.smooth)
