"""Overlap of predicted and true regions: the statistics and the losses that are functions of them."""

from typing import NamedTuple

import tensorflow as tf

from losses.base import require
from losses.classwise import ClassLoss
from losses.inputs import one_hot
from losses.replicas import global_sum


class Overlap(NamedTuple):
    """Soft counts of true and false positives and negatives, each (groups, C); a group is an image or the batch."""

    tp: tf.Tensor
    fp: tf.Tensor
    fn: tf.Tensor
    tn: tf.Tensor


def overlap(
    probabilities: tf.Tensor, truth: tf.Tensor, weight: tf.Tensor, average: str, squared: bool = False
) -> Overlap:
    """Soft counts of each class from probabilities p and truth g, both (B,H,W,C), and pixel weights (B,H,W).

    tp = sum min(p,g), fp = sum max(p-g,0), fn = sum max(g-p,0), tn = sum 1-max(p,g). For hard labels these are the
    usual sums of p g, p(1-g), (1-p)g and (1-p)(1-g); for soft ones they vanish where they should, at p = g, which the
    products do not (Wang et al. 2023, arXiv 2302.05666). Each is a sum of terms >= 0: nothing cancels.
    With `squared`, tp = sum p g and fp, fn are sums of squares, so that 2 tp + fp + fn = sum p^2 + sum g^2 (V-Net).
    With `average="batch"` the sums run over the global batch: one all-reduce of (4, C) numbers.
    """
    excess = probabilities - truth
    tp = probabilities * truth if squared else tf.minimum(probabilities, truth)
    fp, fn = tf.nn.relu(excess), tf.nn.relu(-excess)
    if squared:
        fp, fn = tf.square(fp), tf.square(fn)
    weight = weight[..., tf.newaxis]
    axes = (1, 2) if average == "image" else (0, 1, 2)
    tp, fp, fn = (tf.reduce_sum(weight * term, axis=axes) for term in (tp, fp, fn))
    tn = tf.reduce_sum(weight, axis=axes) - tp - fp - fn
    if average == "image":
        return Overlap(tp, fp, fn, tn)
    return Overlap(*tf.unstack(global_sum(tf.stack([tp, fp, fn, tn]))[:, tf.newaxis]))


class OverlapLoss(ClassLoss):
    """A mean over classes of a function of tp, fp, fn and tn; subclasses write `per_class`.

    Convention: classes and activation as in `ClassLoss`. Under a softmax, mass put on an absent class is missing from
    the true ones, so "present" still punishes it. With "all" an absent class needs `smooth` > 0: without it its loss
    is 1 for any mass above 0 and has no gradient. Losses are written as errors over a total, with `smooth` in the
    denominator alone, which equals (tp + smooth)/(total + smooth) taken from 1 and is 0, not 0/0, for an empty class.
    """

    smooth: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.smooth >= 0.0, "smooth", self.smooth, "a number >= 0")

    def per_class(self, counts: Overlap) -> tf.Tensor:
        """Losses (groups, C)."""
        raise NotImplementedError

    def counts(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> Overlap:
        return overlap(self.probabilities(logits), one_hot(targets, logits.shape[-1]), weight, self.average)

    def of_counts(self, counts: Overlap) -> tf.Tensor:
        """Losses (groups,): the mean over classes."""
        return self.mean_over_classes(self.per_class(counts), counts.tp + counts.fn)

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        return self.spread(self.of_counts(self.counts(targets, logits, weight)), logits)


def positive_power(base: tf.Tensor, exponent: float) -> tf.Tensor:
    """base ** exponent for base >= 0, with gradient 0 where the base is 0 (an exponent below 1 has none there)."""
    positive = base > 1e-30
    return tf.where(positive, tf.pow(tf.where(positive, base, 1.0), exponent), 0.0)
