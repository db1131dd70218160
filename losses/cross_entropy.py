"""Cross-entropy of a softmax, and its close relatives."""

from collections.abc import Sequence

import tensorflow as tf

from losses.core.base import require
from losses.core.inputs import one_hot
from losses.core.pixelwise import SoftmaxLoss
from losses.core.registry import register


@register("cross_entropy")
class CrossEntropy(SoftmaxLoss):
    """-ln p_t, the weighted mean over valid pixels.

    With `label_smoothing` e the target is g (1-e) + e/C, the true class included
    (Szegedy et al. 2016, arXiv 1512.00567).

    Convention: divided by the number of valid pixels of the global batch (or of the image); with class weights v by
    the sum of v over those pixels, as PyTorch does.

    Use: the baseline. It trains fast and gives calibrated probabilities; rare classes count by their pixels.
    """

    label_smoothing: float = 0.0

    def check(self) -> None:
        require(0.0 <= self.label_smoothing < 1.0, "label_smoothing", self.label_smoothing, "in [0, 1)")

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return surprisal

    def per_pixel(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        values = super().per_pixel(targets, logits)
        if not self.label_smoothing:
            return values
        uniform = tf.reduce_mean(-tf.nn.log_softmax(logits), axis=-1)
        return (1.0 - self.label_smoothing) * values + self.label_smoothing * uniform


@register("logit_adjusted")
class LogitAdjusted(CrossEntropy):
    """Cross-entropy of the logits z_c + tau ln pi_c, pi_c the share of class c (Menon et al. 2021, arXiv 2007.07314).

    Only training sees the adjustment; the arg-max of the plain logits is then that of balanced classes.

    Convention: `priors` are shares or counts of pixels, one per class, divided by their sum here; none means equal
    shares, which is plain cross-entropy. tau = 1, the paper's. A class that never occurs gets the share of half a
    pixel in 10^8, not zero.

    Use: long tails, when the mean over classes (balanced accuracy, mIoU) counts and not the pixel accuracy.
    """

    priors: Sequence[float] | None = None
    tau: float = 1.0

    identities = (({}, "cross_entropy", {}), ({"priors": (5.0, 3.0, 2.0), "tau": 0.0}, "cross_entropy", {}))

    def check(self) -> None:
        super().check()
        if self.priors is not None:
            self.priors = tuple(float(prior) for prior in self.priors)
            positive = min(self.priors, default=-1.0) >= 0.0 and sum(self.priors) > 0.0
            require(positive, "priors", self.priors, "one number >= 0 per class, not all 0")

    def per_pixel(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        if self.priors is None:
            return super().per_pixel(targets, logits)
        if len(self.priors) != logits.shape[-1]:
            raise ValueError(f"priors has {len(self.priors)} numbers for {logits.shape[-1]} classes")
        shares = tf.maximum(tf.constant(self.priors, tf.float32) / sum(self.priors), 5e-9)
        return super().per_pixel(targets, logits + self.tau * tf.math.log(shares))


class TwoSidedCrossEntropy(SoftmaxLoss):
    """-sum_c [b g_c ln p_c + (1-b) (1-g_c) ln(1-p_c)] of a softmax, the mean over valid pixels; see `combo`."""

    balance: float = 0.5

    def check(self) -> None:
        require(0.0 <= self.balance <= 1.0, "balance", self.balance, "in [0, 1]")

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return surprisal

    def per_pixel(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        others = 1.0 - one_hot(targets, logits.shape[-1])
        false_alarm = tf.reduce_sum(others * -log_miss(logits), axis=-1)
        return self.balance * super().per_pixel(targets, logits) + (1.0 - self.balance) * false_alarm


def log_miss(logits: tf.Tensor) -> tf.Tensor:
    """Return ln(1 - p) of a softmax, elementwise (B,H,W,C), without loss of digits where p is close to 1.

    Up to p = 1/2 it is log1p(-p). Only the largest p can exceed 1/2; its 1 - p is the sum of the others.
    """
    top = tf.one_hot(tf.argmax(logits, axis=-1), logits.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    rest = tf.reduce_logsumexp(tf.where(top, -float("inf"), logits), axis=-1, keepdims=True)
    p = tf.where(top, 0.0, tf.nn.softmax(logits))
    return tf.where(top, rest - tf.reduce_logsumexp(logits, axis=-1, keepdims=True), tf.math.log1p(-p))
