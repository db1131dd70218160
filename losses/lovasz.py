"""Lovász losses: the Jaccard loss of sets of wrong pixels, extended to errors of any size."""

from collections.abc import Sequence
from typing import ClassVar

import tensorflow as tf

from losses.core import replicas
from losses.core.base import require
from losses.core.classwise import ClassLoss
from losses.core.inputs import one_hot
from losses.core.reductions import bincount
from losses.core.registry import register


def jaccard_slopes(negative: tf.Tensor, positive: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what a pixel adds to the Jaccard loss per unit of its weight, when pixels are added by falling error.

    Args:
        negative, positive: weights of the pixels outside and inside the true region, (..., K) each, in K groups by
            falling error.

    Returns:
        The slopes of both, (..., K) each. Weights times slopes sum to 1, or to 0 without any pixel.

    Let G be the truth, and P and N the positives and negatives added so far. Then J = 1 - (G - P)/(G + N). In a group
    the positives come first: each adds 1/(G+N). Then its negatives, d in all, share (G-P) d / ((G+N)(G+N+d)). No
    difference of two values of J is taken, so nothing cancels. In float64 the order of a device's additions does not
    matter.
    """
    lost = tf.cumsum(tf.cast(positive, tf.float64), axis=-1)  # P, with the group's own positives
    kept = tf.cast(lost[..., -1:] - lost, tf.float32)
    added = tf.cumsum(tf.cast(negative, tf.float64), axis=-1, exclusive=True)  # N before the group
    union = tf.cast(lost[..., -1:] + added, tf.float32)
    per_union, per_grown = tf.math.reciprocal_no_nan(union), tf.math.reciprocal_no_nan(union + negative)
    # Without truth, J jumps from 0 to 1 at the first negatives.
    return per_grown * tf.where(union > 0.0, kept * per_union, 1.0), per_union


class Lovasz(ClassLoss):
    """sum_i w_i s_i e_i per class: e are the errors of the pixels, s the slopes of the Jaccard loss in their order.

    Subclasses give the `errors`, and the `groups` of pixels whose errors count as equal. The gradient takes the slopes
    as constants: while the order stays, the loss is linear in the errors with exactly these slopes.

    Convention: pixels of equal error on the same side share what they add, so the gradient does not depend on the order
    of pixels. A soft label g is a negative of weight 1-g and a positive of weight g, both with the pixel's error.
    """

    def errors(self, truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return errors (B,H,W,C) >= 0 of logits against shares of truth, both (B,H,W,C)."""
        return tf.abs(self.probabilities(logits) - truth)

    def groups(self, errors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | int]:
        """Return the groups (rows, P) int32 of errors (rows, P), from 0 by falling error per row, and their number."""
        raise NotImplementedError

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        images, channels = tf.shape(logits)[0], logits.shape[-1]
        truth = one_hot(targets, channels)
        errors, positive = _rows(self.errors(truth, logits)), _rows(truth)
        weight = _rows(tf.broadcast_to(weight[..., tf.newaxis], tf.shape(truth)))
        cells, count = self.groups(tf.stop_gradient(errors))
        if targets.dtype.is_integer:
            cells += count * tf.cast(positive, tf.int32)
        else:
            cells = tf.concat([cells, cells + count], axis=1)
            weight = tf.concat([weight * (1.0 - positive), weight * positive], axis=1)
            errors = tf.tile(errors, [1, 2])
        mass = bincount(cells, 2 * count, weight)
        mass = tf.reshape(mass, tf.stack([images, channels, 2, count]))
        of_group = mass if self.average == "image" else replicas.global_sum(tf.reduce_sum(mass, axis=0, keepdims=True))
        slopes = tf.stack(jaccard_slopes(of_group[:, :, 0], of_group[:, :, 1]), axis=2)
        slopes = tf.reshape(tf.broadcast_to(slopes, tf.shape(mass)), tf.stack([images * channels, 2 * count]))
        slopes = tf.stop_gradient(weight * tf.gather(slopes, cells, batch_dims=1))
        values = tf.reshape(tf.reduce_sum(slopes * errors, axis=1), tf.stack([images, channels]))
        means = self.mean_over_classes(values, tf.reduce_sum(of_group[:, :, 1], axis=-1))
        return means if self.average == "image" else means * replicas.global_batch(means)


def _rows(values: tf.Tensor) -> tf.Tensor:
    """Return (B*C, H*W) from (B,H,W,C): one row per image and class."""
    images, height, width, channels = tf.unstack(tf.shape(values))
    return tf.reshape(tf.transpose(values, [0, 3, 1, 2]), tf.stack([images * channels, height * width]))


class SortedLovasz(Lovasz):
    """The exact loss: each distinct error is a group. All images and classes are sorted at once, one row each."""

    average: str = "image"

    averages: ClassVar[tuple[str, ...]] = ("image",)

    def groups(self, errors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.shape(errors)[1]
        falling, order = tf.math.top_k(errors, pixels)
        falls = tf.cast(falling[:, 1:] < falling[:, :-1], tf.float32)
        ranks = tf.cumsum(tf.pad(falls, [[0, 0], [1, 0]]), axis=1)
        # Scatter back to the places of the pixels. A bincount weighted with the ranks is the fastest scatter.
        ranks = bincount(order, pixels, ranks)
        return tf.cast(ranks, tf.int32), pixels


@register("lovasz_softmax")
class LovaszSoftmax(SortedLovasz):
    """The Lovász extension of 1 - IoU at the errors |g - p| of each class, the mean over classes.

    Berman et al. 2018 (arXiv 1705.08790): sum_i e_i (J_i - J_(i-1)), the errors from the largest on, J_i the Jaccard
    loss if the first i pixels are wrong and the others right. At p of 0 and 1 alone it is 1 - IoU itself.

    Convention: one loss per image (the paper's "per image"), the default and only average, as the global batch would
    have to be sorted across replicas: `lovasz_histogram` has both. Equal errors and soft labels: see `Lovasz`; p = g
    has no loss. An absent class (with `classes="all"`) has the loss of its largest p. Sums are exact to about 1e-6.

    Use: the end of a training for IoU, best after cross-entropy or in a sum with it.
    """


@register("lovasz_hinge")
class LovaszHinge(SortedLovasz):
    """The Lovász extension of 1 - IoU at the hinge errors relu(1 - s z), s = +1 in the class and -1 outside of it.

    Yu & Blaschko 2015 (arXiv 1512.07797), Berman et al. 2018 (arXiv 1705.08790): a convex bound of 1 - IoU for
    binary masks, as an error is 1 or more where the sign of z is wrong.

    Convention: each channel against the rest, the mean over classes; one channel is the binary case. `classes="all"`,
    unlike `lovasz_softmax`: no softmax couples the channels, so an absent class must be pushed down itself, and its
    loss is its largest error. Soft labels have s = 2g - 1. Images and equal errors: see `lovasz_softmax`.

    Use: binary masks from logits, where the scale of the logits is free.
    """

    activation: str = "sigmoid"  # type: ignore[misc]
    classes: str | Sequence[int] = "all"

    def check(self) -> None:
        require(self.activation == "sigmoid", "activation", self.activation, "'sigmoid': each channel is by itself")

    def errors(self, truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(1.0 - logits * (2.0 * truth - 1.0))


@register("lovasz_histogram")
class LovaszHistogram(Lovasz):
    """`lovasz_softmax` with errors that count as equal in each of `bins` intervals: linear in pixels, no sort.

    After Berman et al. 2018 (arXiv 1705.08790): sum_i w_i s(bin_i) e_i, with e_i the true error and the slopes s from
    two histograms a class. It is never above
    the exact loss f of the group, and never more than h = 1/bins below it. For s is a mean of greedy vectors of the
    errors u that are e rounded up to multiples of h, and f the maximum over all greedy vectors, so f(e) >= <s,e>;
    and <s,e> >= <s,u> - h = f(u) - h >= f(e) - h, as weights times s sum to 1 and f is monotone.
    In practice the gap is of the order h^2, as s hardly changes within a bin.

    Convention: `average="batch"` is the Lovász loss of the pixels of the global batch together, the histograms
    being all that replicas exchange. 1024 bins are a choice of this package; errors of 0 have one of their own. The
    rest as in `lovasz_softmax`.

    Use: instead of `lovasz_softmax`, whenever time counts or the batch is to be one group.
    """

    bins: int = 1024

    def check(self) -> None:
        require(isinstance(self.bins, int) and self.bins > 0, "bins", self.bins, "a whole number > 0")

    def groups(self, errors: tf.Tensor) -> tuple[tf.Tensor, int]:
        # Clipped as integers, so that NaN has a bin too and comes out as NaN.
        return tf.clip_by_value(tf.cast(self.bins - self.bins * errors, tf.int32), 0, self.bins), self.bins + 1
