"""Cross-entropy of a softmax."""

import tensorflow as tf

from losses.base import require
from losses.pixelwise import SoftmaxLoss
from losses.registry import register


@register("cross_entropy")
class CrossEntropy(SoftmaxLoss):
    """-ln p_t, the weighted mean over valid pixels.

    With `label_smoothing` e the target is g (1-e) + e/C, the true class included
    (Szegedy et al. 2016, arXiv 1512.00567).

    Convention: divided by the number of valid pixels of the global batch (or of the image); with class weights v by
    the sum of v over those pixels, as PyTorch does.
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
