"""Generalized Dice loss: one ratio over all classes, with larger weights for rare ones."""

import tensorflow as tf

from losses.core.base import require
from losses.core.overlap import Overlap, OverlapLoss
from losses.core.registry import register


@register("generalized_dice")
class GeneralizedDice(OverlapLoss):
    """1 - 2 sum_c w_c tp_c / sum_c w_c (2 tp_c + fp_c + fn_c), w_c = 1 / G_c^2 of the true mass G_c.

    Sudre et al. 2017 (arXiv 1707.03237).

    Convention: one ratio, not a mean of ratios. Classes without truth in the group have no weight of their own: with
    "present" they are left out, with "all" or when listed they get the largest weight of a class that is there.
    `power` is the exponent of G; 0 gives all classes the same weight. `smooth` is added to the denominator, whose
    weights are scaled so that the largest is 1. Class weights multiply w_c.

    Use: strong imbalance with few classes. A single pixel of a rare class can decide the whole loss; then average over
    the batch.
    """

    power: float = 2.0

    def check(self) -> None:
        require(self.power >= 0.0, "power", self.power, "a number >= 0")

    def of_counts(self, counts: Overlap) -> tf.Tensor:
        truth = tf.stop_gradient(counts.tp + counts.fn)
        smallest = tf.reduce_min(tf.where(truth > 0.0, truth, float("inf")), axis=-1, keepdims=True)
        relative = tf.where(truth > 0.0, tf.math.divide_no_nan(smallest, truth), 1.0)
        weight = tf.pow(relative, self.power) * self.weights_in_mean(truth)
        errors = tf.reduce_sum(weight * (counts.fp + counts.fn), axis=-1)
        met = tf.reduce_sum(weight * 2.0 * counts.tp, axis=-1)
        return tf.math.divide_no_nan(errors, met + errors + self.smooth)
