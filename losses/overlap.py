"""Overlap of predicted and true regions: the statistics and the losses that are functions of them."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from losses.base import FormulaLoss, require
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


class OverlapLoss(FormulaLoss):
    """A mean over classes of a function of tp, fp and fn; subclasses write `per_class`.

    Convention: `activation` gives probabilities ("softmax"; "sigmoid" for independent channels, and for one channel).
    `classes` chooses the classes in the mean: "present", those with truth in the group (image or global batch); "all";
    or a list of ids, counted whether present or not. Under a softmax, mass put on an absent class is missing from the
    true ones, so "present" still punishes it. With "all" an absent class needs `smooth` > 0: without it its loss is 1
    for any mass above 0 and has no gradient. Losses are written as errors over a total, with `smooth` in the
    denominator alone, which equals (tp + smooth)/(total + smooth) taken from 1 and is 0, not 0/0, for an empty class.
    Class weights weigh the mean over classes, divided by the sum over the classes that count.
    """

    activation: str = "softmax"  # type: ignore[misc]
    classes: str | Sequence[int] = "present"
    smooth: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.classes, str):
            self.classes = tuple(int(c) for c in self.classes)
        named = self.classes in ("present", "all")
        listed = not isinstance(self.classes, str) and len(self.classes) > 0 and min(self.classes) >= 0
        require(named or listed, "classes", self.classes, "'present', 'all' or a list of class ids")
        require(self.activation in ("softmax", "sigmoid"), "activation", self.activation, "'softmax' or 'sigmoid'")
        require(self.smooth >= 0.0, "smooth", self.smooth, "a number >= 0")

    def per_class(self, counts: Overlap) -> tf.Tensor:
        """Losses (groups, C)."""
        raise NotImplementedError

    def counts(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> Overlap:
        probabilities = tf.nn.softmax(logits) if self.activation == "softmax" else tf.sigmoid(logits)
        return overlap(probabilities, one_hot(targets, logits.shape[-1]), weight, self.average)

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        counts = self.counts(targets, logits, weight)
        share = self._weights_in_mean(counts, logits.shape[-1])
        # The gradient of a class that is left out must not be 0 * inf.
        losses = tf.where(share > 0.0, self.per_class(counts), 0.0)
        total = tf.math.divide_no_nan(tf.reduce_sum(share * losses, axis=-1), tf.reduce_sum(share, axis=-1))
        return total if self.average == "image" else tf.fill([tf.shape(logits)[0]], total[0])

    def _weights_in_mean(self, counts: Overlap, channels: int) -> tf.Tensor:
        """Weight (groups, C) of each class in the mean, zero for those left out."""
        weights = self.weights_of_classes(channels)
        if self.classes == "present":
            return weights * tf.cast(tf.stop_gradient(counts.tp + counts.fn) > 0.0, tf.float32)
        if self.classes != "all":
            if max(int(c) for c in self.classes) >= channels:
                raise ValueError(f"classes has id {max(self.classes)} for {channels} classes")  # type: ignore[type-var]
            weights *= tf.constant([float(c in self.classes) for c in range(channels)])
        return tf.broadcast_to(weights, tf.shape(counts.tp))


def positive_power(base: tf.Tensor, exponent: float) -> tf.Tensor:
    """base ** exponent for base >= 0, with gradient 0 where the base is 0 (an exponent below 1 has none there)."""
    positive = base > 1e-30
    return tf.where(positive, tf.pow(tf.where(positive, base, 1.0), exponent), 0.0)
