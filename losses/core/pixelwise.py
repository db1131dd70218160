"""Losses that are a mean over pixels."""

from typing import ClassVar

import tensorflow as tf

from losses.core import replicas
from losses.core.base import FormulaLoss
from losses.core.reductions import over_pixels
from losses.core.surprisal import surprisal


class PixelLoss(FormulaLoss):
    """Weighted mean over pixels: sum(w l) / sum(w)."""

    def per_pixel(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return the values (B,H,W)."""
        raise NotImplementedError

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        weight = weight * self.weights_of_pixels(targets, logits.shape[-1])
        sums, mass = over_pixels(weight * self.per_pixel(targets, logits)), over_pixels(weight)
        if self.average == "image":
            return tf.math.divide_no_nan(sums, mass)
        return sums * tf.math.divide_no_nan(replicas.global_batch(sums), replicas.global_sum(tf.reduce_sum(mass)))

    def weights_of_pixels(self, targets: tf.Tensor, channels: int) -> tf.Tensor:
        """Return the factors, broadcastable to (B,H,W), that the class weights give to pixels."""
        raise NotImplementedError


class SoftmaxLoss(PixelLoss):
    """A function of the surprisal -ln p of the true class under a softmax.

    Convention: hard labels give f(-ln p_t), soft labels g give sum_c g_c f(-ln p_c). Class weights are pixel weights
    v(x) = sum_c g_c v_c, divided out by their sum, so that the minimum stays at p = g.
    """

    activation: ClassVar[str] = "softmax"

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        """Return f, elementwise, of surprisals >= 0 in nats."""
        raise NotImplementedError

    def per_pixel(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        if targets.dtype.is_integer:
            return self.of_surprisal(surprisal(targets, logits))
        return tf.reduce_sum(targets * self.of_surprisal(-tf.nn.log_softmax(logits)), axis=-1)

    def weights_of_pixels(self, targets: tf.Tensor, channels: int) -> tf.Tensor:
        weights = self.weights_of_classes(channels)
        if self.class_weights is None:
            return tf.ones([])
        return tf.gather(weights, targets) if targets.dtype.is_integer else tf.linalg.matvec(targets, weights)


class SigmoidLoss(PixelLoss):
    """A binary loss of each channel's sigmoid against the one-hot label; for shares g, its mean with weights g, 1-g.

    Convention: the mean over the C channels (as Keras and PyTorch take it), so for the same error it is about C times
    smaller than a softmax loss; class weights weigh the channels, divided by their sum. One channel is the binary
    case: its logit is that of class 1.
    """

    activation: ClassVar[str] = "sigmoid"

    def of_margin(self, margin: tf.Tensor) -> tf.Tensor:
        """Return the loss of margins, elementwise.

        The margin is the logit of a channel that is on, or minus the logit of one that is off. A channel is right when
        its margin is above 0.
        """
        raise NotImplementedError

    def sides(self) -> tuple[float, float]:
        """Return the factors of the channels that are on and of those that are off."""
        return 1.0, 1.0

    def per_pixel(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        channels = logits.shape[-1]
        on, off = self.sides()
        if targets.dtype.is_integer:
            values = self.of_margin(logits * tf.one_hot(targets, channels, 1.0, -1.0))
            if (on, off) != (1.0, 1.0):
                values *= tf.one_hot(targets, channels, on, off)
        else:
            values = on * targets * self.of_margin(logits) + off * (1.0 - targets) * self.of_margin(-logits)
        if self.class_weights is None:
            return tf.reduce_mean(values, axis=-1)
        weights = self.weights_of_classes(channels)
        return tf.reduce_sum(values * (weights / tf.reduce_sum(weights)), axis=-1)

    def weights_of_pixels(self, targets: tf.Tensor, channels: int) -> tf.Tensor:
        return tf.ones([])
