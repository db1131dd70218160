"""Losses made of rates: weighted precision and recall, sensitivity and specificity, and the correlation coefficient."""

import tensorflow as tf

from losses.core.base import require
from losses.core.classwise import ClassLoss, class_sums
from losses.core.inputs import one_hot
from losses.core.overlap import Overlap, OverlapLoss
from losses.core.reductions import over_groups, over_pixels
from losses.core.registry import register


@register("f_beta")
class FBeta(OverlapLoss):
    """1 - (1+b^2) tp / ((1+b^2) tp + b^2 fn + fp), the mean over classes (Hashemi et al. 2018, arXiv 1803.11078).

    The "asymmetric" loss: a Tversky loss with alpha = 1/(1+b^2) on false positives and beta = b^2/(1+b^2) on false
    negatives.

    Convention: b = 1.5, the paper's best; above 1 recall counts more than precision, 1 is Dice. `smooth` s is added to
    (1+b^2) tp and to the denominator.

    Use: as Tversky, with one number to choose.
    """

    beta: float = 1.5

    identities = (
        ({"beta": 1.0}, "dice", {}),
        ({}, "tversky", {"alpha": 4.0 / 13.0, "beta": 9.0 / 13.0}),
    )

    def check(self) -> None:
        require(self.beta > 0.0, "beta", self.beta, "a number > 0")

    def per_class(self, counts: Overlap) -> tf.Tensor:
        square = self.beta**2
        errors = square * counts.fn + counts.fp
        return tf.math.divide_no_nan(errors, (1.0 + square) * counts.tp + errors + self.smooth)


@register("sensitivity_specificity")
class SensitivitySpecificity(ClassLoss):
    """r sum((g-p)^2 g) / sum g + (1-r) sum((g-p)^2 (1-g)) / sum(1-g), the mean over classes.

    Brosch et al. 2015 (MICCAI, doi 10.1007/978-3-319-24574-4_1).

    Convention: r = .05, the paper's. Classes, void and averaging as in `ClassLoss`. A class that fills the whole group
    has no second term.

    Use: very small regions, with one number that trades misses against false alarms.
    """

    r: float = 0.05

    def check(self) -> None:
        require(0.0 <= self.r <= 1.0, "r", self.r, "in [0, 1]")

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        g = one_hot(targets, logits.shape[-1])
        miss = tf.square(g - self.probabilities(logits))
        missed, invented, on, off = class_sums([miss * g, miss * (1.0 - g), g, 1.0 - g], weight, self.average)
        rates = tf.math.divide_no_nan(missed, on), tf.math.divide_no_nan(invented, off)
        return self.spread(self.mean_over_classes(self.r * rates[0] + (1.0 - self.r) * rates[1], on), logits)


@register("mcc")
class MatthewsCorrelation(OverlapLoss):
    """1 - (tp tn - fp fn) / sqrt((tp+fp)(tp+fn)(tn+fp)(tn+fn)), the mean over classes: one minus Matthews' correlation.

    Abhishek & Hamarneh 2021 (arXiv 2010.13454).

    Convention: from 0 (equal) over 1 (unrelated) to 2 (opposite). The coefficient is 0/0 for a class that is nowhere or
    everywhere in the truth, whose loss is the share of the group that is wrong, fp + fn; for one that is nowhere or
    everywhere in the prediction alone it counts as 0 and the loss as 1. `smooth` has to be 0.

    Use: imbalance where true negatives should count too, which Dice and Jaccard ignore.
    """

    def check(self) -> None:
        require(self.smooth == 0.0, "smooth", self.smooth, "0: a correlation has no such constant")

    def counts(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> Overlap:
        """Return the counts as sums of terms >= 0, tn too: a class absent from the truth is then exactly zero."""
        truth = one_hot(targets, logits.shape[-1])
        p = tf.minimum(self.probabilities(logits), 1.0)
        common = tf.minimum(p, truth)
        terms = common, p - common, truth - common, 1.0 - tf.maximum(p, truth)
        return Overlap(*over_groups([over_pixels(weight[..., tf.newaxis] * term) for term in terms], self.average))

    def per_class(self, counts: Overlap) -> tf.Tensor:
        tp, fp, fn, tn = self._shares(counts)
        product = (tp + fp) * (tn + fn)  # the prediction's two factors; those of the truth are constants
        truth = (tp + fn) * (tn + fp)
        floor = 1e-12  # below so small a share there is no prediction to correlate with
        correlation = (tp * tn - fp * fn) / tf.sqrt(tf.maximum(product, floor) * tf.maximum(truth, floor))
        return tf.where(tf.stop_gradient(truth) > 0.0, 1.0 - correlation, fp + fn)

    def _shares(self, counts: Overlap) -> tuple[tf.Tensor, ...]:
        total = tf.stop_gradient(counts.tp + counts.fp + counts.fn + counts.tn)
        return tuple(tf.math.divide_no_nan(count, total) for count in counts)
