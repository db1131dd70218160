"""Overlap of predicted and true regions: its soft counts, and the losses that are functions of them."""

from typing import Any, NamedTuple

import tensorflow as tf

from losses.core.base import require
from losses.core.classwise import ClassLoss
from losses.core.inputs import one_hot
from losses.core.reductions import over_groups, over_pixels


class Overlap(NamedTuple):
    """Soft counts of true and false positives and negatives, each (groups, C); a group is an image or the batch."""

    tp: tf.Tensor
    fp: tf.Tensor
    fn: tf.Tensor
    tn: tf.Tensor


MANY = 64  # above so many channels the soft confusion matrix costs more than it saves: its size grows with their square


def overlap(
    probabilities: tf.Tensor,
    targets: tf.Tensor,
    weight: tf.Tensor,
    average: str,
    *,
    squared: bool = False,
    exclusive: bool = False,
) -> Overlap:
    """Return the soft counts per class of probabilities p (B,H,W,C), with pixel weights (B,H,W) that are constants.

    Targets are class ids (B,H,W) or shares g (B,H,W,C), see `inputs.as_targets`.

    tp = sum min(p,g), fp = sum max(p-g,0), fn = sum max(g-p,0), tn = sum 1-max(p,g). For hard labels these are the
    usual sums of p g, p(1-g), (1-p)g and (1-p)(1-g). For soft labels fp and fn vanish at p = g, as they should; those
    products do not (Wang et al. 2023, arXiv 2302.05666). Each count is a sum of terms >= 0, so nothing cancels.
    With `squared`, tp = sum p g and fp, fn are sums of squares, so that 2 tp + fp + fn = sum p^2 + sum g^2 (V-Net).
    With `average="batch"` the sums run over the global batch: one all-reduce of (4, C) numbers.
    `exclusive` states that the probabilities of a pixel sum to 1, as those of a softmax do; this takes less time.
    """
    crossed = exclusive and targets.dtype.is_integer and probabilities.shape[-1] <= MANY and _products_are_exact()
    counts = _squared_counts if squared else _crossed_counts if crossed else _counts
    tp, fp, fn = counts(probabilities, targets, weight)
    tn = over_pixels(weight[..., tf.newaxis]) - tp - fp - fn
    return Overlap(*over_groups([tp, fp, fn, tn], average))


def _products_are_exact() -> bool:
    """Return whether a float32 matrix product is exact: since Ampere, GPUs round factors to ten bits (TF32)."""
    return not (tf.config.experimental.tensor_float_32_execution_enabled() and tf.config.list_physical_devices("GPU"))


@tf.custom_gradient
def _counts(p: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Any]:
    """Return tp, fp and fn per image, (B,C); a hand-written gradient in p halves the passes over the pixels."""
    weight = weight[..., tf.newaxis]
    truth = one_hot(targets, p.shape[-1])
    found, true = weight * p, weight * truth
    common = tf.minimum(found, true)

    def gradient(of_tp: tf.Tensor, of_fp: tf.Tensor, of_fn: tf.Tensor) -> tuple[tf.Tensor, None, None]:
        inside = of_tp - of_fn  # the slope where p < g; where p > g, the slope is that of fp
        if targets.dtype.is_integer:
            return weight * tf.gather(_slopes(of_fp, inside), targets, batch_dims=1), None, None
        of_fp, inside = (slope[:, tf.newaxis, tf.newaxis] for slope in (of_fp, inside))
        return weight * (of_fp + (inside - of_fp) * tf.cast(p <= truth, tf.float32)), None, None

    return tuple(map(over_pixels, (common, found - common, true - common))), gradient


@tf.custom_gradient
def _crossed_counts(p: tf.Tensor, ids: tf.Tensor, weight: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Any]:
    """Return the same counts for ids and a softmax, from M_tc = sum of w p_c over pixels of class t: a matrix product.

    tp is the diagonal and fp the rest of a column. fn is the rest of a row, because the probabilities sum to 1. There
    is one product per row of pixels, and their results are added: see `over_pixels`.
    """
    true = weight[..., tf.newaxis] * one_hot(ids, p.shape[-1])
    matrix = tf.reduce_sum(tf.matmul(true, p, transpose_a=True), axis=1)
    tp = tf.linalg.diag_part(matrix)
    confused = tf.linalg.set_diag(matrix, tf.zeros_like(tp))

    def gradient(of_tp: tf.Tensor, of_fp: tf.Tensor, of_fn: tf.Tensor) -> tuple[tf.Tensor, None, None]:
        return tf.matmul(true, _slopes(of_fp, of_tp - of_fn)[:, tf.newaxis]), None, None

    return (tp, tf.reduce_sum(confused, axis=1), tf.reduce_sum(confused, axis=2)), gradient


def _slopes(outside: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    """Return the slopes (B,C,C) per probability and true class: `inside` (B,C) on the diagonal, `outside` elsewhere."""
    return tf.linalg.set_diag(tf.repeat(outside[:, tf.newaxis], outside.shape[-1], axis=1), inside)


def _squared_counts(p: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, ...]:
    truth, weight = one_hot(targets, p.shape[-1]), weight[..., tf.newaxis]
    missing = truth - p
    terms = p * truth, tf.square(tf.nn.relu(-missing)), tf.square(tf.nn.relu(missing))
    return tuple(over_pixels(weight * term) for term in terms)


class OverlapLoss(ClassLoss):
    """A mean over classes of a function of tp, fp, fn and tn; subclasses write `per_class`.

    Convention: classes and activation as in `ClassLoss`. Under a softmax, mass put on an absent class is missing from
    the true ones, so "present" still punishes it. With "all", an absent class needs `smooth` > 0: without it, its loss
    is 1 for any mass above 0 and has no gradient. Losses are written as errors over a total, with `smooth` in the
    denominator alone. That equals 1 - (tp + smooth)/(total + smooth), and is 0, not 0/0, for an empty class.
    """

    smooth: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.smooth >= 0.0, "smooth", self.smooth, "a number >= 0")

    def per_class(self, counts: Overlap) -> tf.Tensor:
        """Return the losses (groups, C)."""
        raise NotImplementedError

    def counts(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> Overlap:
        """Return the soft counts of targets, logits (B,H,W,C) and pixel weights (B,H,W)."""
        exclusive = self.activation == "softmax"
        return overlap(self.probabilities(logits), targets, weight, self.average, exclusive=exclusive)

    def of_counts(self, counts: Overlap) -> tf.Tensor:
        """Return the losses (groups,): the means over classes."""
        return self.mean_over_classes(self.per_class(counts), counts.tp + counts.fn)

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        return self.spread(self.of_counts(self.counts(targets, logits, weight)), logits)


def positive_power(base: tf.Tensor, exponent: float) -> tf.Tensor:
    """Return base ** exponent for base >= 0; the gradient is 0 at base 0, where an exponent below 1 has none."""
    positive = base > 1e-30
    return tf.where(positive, tf.pow(tf.where(positive, base, 1.0), exponent), 0.0)
