"""Region mutual information loss."""

from typing import ClassVar

import tensorflow as tf

from losses.core.base import require
from losses.core.classwise import ClassLoss
from losses.core.inputs import one_hot
from losses.core.reductions import over_pixels
from losses.core.registry import register

SIDE = 12  # a pooled map keeps at least so many cells per side, where the image has them


@register("rmi")
class RegionMutualInformation(ClassLoss):
    """bce_weight BCE + (1 - bce_weight) RMI, the mean over classes; RMI = 1/2 ln det(M / epsilon) / d.

    Zhao et al. 2019 (arXiv 1910.12037). Each window of `region` x `region` cells of the map, pooled by `pool`, is a
    point of d = region^2 numbers, y of the truth and p of the probabilities. M = S_yy + epsilon - S_yp (S_pp +
    epsilon)^-1 S_py, with the covariances S over the windows of an image, is what a linear prediction of y from p
    leaves, and -1/2 ln det M a lower bound of the information that p has of y (but for a constant).

    Convention: the covariances are means over windows (sums in the authors' code), so that epsilon does not depend on
    the image's size, and M is divided by epsilon, a constant that makes the loss >= 0, and 0 for a class that is
    everywhere or nowhere. M is a Schur complement of the joint covariance of (p, y), so its determinant is read off one
    Cholesky factor and no difference is taken. The covariances are in float64: float32 has no more than five digits of
    a gradient that goes as 1 / M. The sum over classes is a mean here, over "all" classes by default, with one sigmoid
    per class. A window counts with the mean weight of its pixels, and not at all if it touches void. The pooling is
    smaller where it would leave less than 12 cells per side; an image with no window has BCE alone. At the truth M is
    up to 2 epsilon, so RMI up to (ln 2) / 2 and not 0.

    Use: where neighbouring pixels should agree. Nothing is added to the model, but on a CPU it costs five to eight
    times as much as BCE.
    """

    bce_weight: float = 0.5
    region: int = 3
    pool: int = 4
    epsilon: float = 5e-4
    average: str = "image"
    activation: str = "sigmoid"  # type: ignore[misc]
    classes: str | tuple[int, ...] = "all"

    averages: ClassVar[tuple[str, ...]] = ("image",)
    identities = (({"bce_weight": 1.0}, "bce", {}),)
    exceptions: ClassVar[frozenset[str]] = frozenset({"pixel_permutation", "tiling", "zero_at_truth"})

    def check(self) -> None:
        require(
            self.activation == "sigmoid", "activation", self.activation, "'sigmoid': its BCE is that of each channel"
        )
        require(0.0 <= self.bce_weight <= 1.0, "bce_weight", self.bce_weight, "a number in [0, 1]")
        require(self.region >= 1, "region", self.region, "an integer >= 1")
        require(self.pool >= 1, "pool", self.pool, "an integer >= 1")
        require(self.epsilon >= 1e-8, "epsilon", self.epsilon, "a number >= 1e-8 (probabilities are float32)")

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        truth = one_hot(targets, logits.shape[-1])
        bce = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
        pixels = weight[..., tf.newaxis]
        of_bce, of_truth, mass = map(over_pixels, (pixels * bce, pixels * truth, pixels))
        information = self.lost_information(truth, self.probabilities(logits), pixels)
        values = self.bce_weight * tf.math.divide_no_nan(of_bce, mass) + (1.0 - self.bce_weight) * information
        return self.mean_over_classes(values, of_truth)

    def lost_information(self, truth: tf.Tensor, probabilities: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Return the RMI (B,C) of truth and probabilities, (B,H,W,C) each, with pixel weights (B,H,W,1)."""
        p, y, weights, valid = (
            windows(average_pool(x, self.pool), self.region)
            for x in (probabilities, truth, weight, tf.cast(weight > 0.0, tf.float32))
        )
        weights = tf.where(tf.reduce_min(valid, axis=-1) < 1.0, 0.0, tf.reduce_mean(weights, axis=-1))[..., tf.newaxis]
        weights, points = tf.cast(weights, tf.float64), tf.cast(tf.concat([p, y], axis=-1), tf.float64)
        weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=2, keepdims=True))
        points = tf.sqrt(weights) * (points - tf.reduce_sum(weights * points, axis=2, keepdims=True))
        covariance = tf.matmul(points, points, transpose_a=True) / self.epsilon
        size = self.region**2
        factor = tf.linalg.cholesky(covariance + tf.eye(2 * size, dtype=tf.float64))
        of_truth = tf.linalg.diag_part(factor)[..., size:]
        return tf.cast(tf.reduce_mean(tf.math.log(of_truth), axis=-1), tf.float32)


def average_pool(maps: tf.Tensor, size: int) -> tf.Tensor:
    """Return the means of cells of size x size pixels; smaller cells if fewer than SIDE fit per side. A rest is cut."""
    shape = tf.shape(maps)
    size = tf.clip_by_value(tf.minimum(shape[1], shape[2]) // SIDE, 1, size)
    rows, columns = shape[1] // size, shape[2] // size
    cells = tf.reshape(maps[:, : rows * size, : columns * size], [shape[0], rows, size, columns, size, maps.shape[-1]])
    return tf.reduce_mean(cells, axis=(2, 4))


def windows(maps: tf.Tensor, size: int) -> tf.Tensor:
    """Return all windows of size x size cells of maps (B,h,w,C), as (B,C,windows,size^2)."""
    maps = tf.transpose(maps, (0, 3, 1, 2))
    shape = tf.shape(maps)
    rows, columns = tf.maximum(shape[2] - size + 1, 0), tf.maximum(shape[3] - size + 1, 0)
    corners = [(i, j) for i in range(size) for j in range(size)]
    cells = tf.stack([maps[:, :, i : i + rows, j : j + columns] for i, j in corners], axis=-1)
    return tf.reshape(cells, [shape[0], maps.shape[1], rows * columns, size**2])
