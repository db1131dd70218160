"""Hausdorff distance loss."""

import tensorflow as tf

from losses.boundary import BorderLoss, border_distance
from losses.core.base import require
from losses.core.registry import register


@register("hausdorff")
class Hausdorff(BorderLoss):
    """mean over pixels of (p - g)^2 (d_p^alpha + d_g^alpha), the mean over classes.

    Karimi and Salcudean 2019 (arXiv 1904.10030), the form by distance transforms, alpha = 2. d_g and d_p are the
    distances in pixels to the border of the true region and of the predicted one, p > 1/2; they have no gradient.

    Convention: both distances are two-sided, to the nearest pixel on the other side, 1 or more, so that errors inside
    the object count like those outside. Where there is no border (a region that is empty or everything) the distance
    is 0. Classes: see `ClassLoss`; soft labels and void: see `BorderLoss`.

    Use: beside a region loss, against errors far from the object. It grows with the square of the image's size in
    pixels, so the mix must be scaled: the paper makes both terms equal after each epoch.
    """

    alpha: float = 2.0

    def check(self) -> None:
        require(self.alpha > 0.0, "alpha", self.alpha, "a number > 0")

    def per_pixel(self, probabilities: tf.Tensor, truth: tf.Tensor, valid: tf.Tensor, partition: bool) -> tf.Tensor:
        _, to_truth = border_distance(truth, valid, partition)
        _, to_prediction = border_distance(probabilities, valid, self.activation == "softmax")
        factor = tf.pow(to_truth, self.alpha) + tf.pow(to_prediction, self.alpha)
        return factor * tf.square(probabilities - truth)
