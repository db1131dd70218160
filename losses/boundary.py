"""Losses that weigh probabilities by their distance to a border: their base class, and the boundary loss."""

from typing import ClassVar

import tensorflow as tf

from losses.core.classwise import ClassLoss
from losses.core.distance import distance_to_other_kind
from losses.core.inputs import one_hot
from losses.core.reductions import over_pixels
from losses.core.registry import register


class BorderLoss(ClassLoss):
    """A mean over the pixels of each image of `per_pixel`, the mean over classes.

    Convention: a pixel is in the region of the class with the largest share. For soft labels or predictions of one
    sigmoid per channel, it is in the region of each class with a share above 1/2. Void pixels are neither inside nor
    outside any region; distances go through void to the nearest valid pixel.
    """

    average: str = "image"

    averages: ClassVar[tuple[str, ...]] = ("image",)
    exceptions: ClassVar[frozenset[str]] = frozenset({"pixel_permutation", "tiling"})

    def per_pixel(self, probabilities: tf.Tensor, truth: tf.Tensor, valid: tf.Tensor, partition: bool) -> tf.Tensor:
        """Return terms (B,H,W,C) from probabilities and shares of truth, both (B,H,W,C).

        `valid` is the bool mask (B,H,W) of the pixels that count. `partition` states that each pixel of the truth is in
        exactly one region.
        """
        raise NotImplementedError

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        truth = one_hot(targets, logits.shape[-1])
        partition = targets.dtype.is_integer or self.activation == "softmax"
        terms = self.per_pixel(self.probabilities(logits), truth, weight > 0.0, partition)
        weight = weight[..., tf.newaxis]
        sums, of_truth, mass = map(over_pixels, (weight * terms, weight * truth, weight))
        return self.mean_over_classes(tf.math.divide_no_nan(sums, mass), of_truth)


def border_distance(shares: tf.Tensor, valid: tf.Tensor, partition: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the regions of shares (B,H,W,C), bool, and the distances to the other side of their borders.

    Distances are (B,H,W,C) float32 in pixels, 0 where a region has no border.
    """
    inside = shares == tf.reduce_max(shares, axis=-1, keepdims=True) if partition else shares > 0.5
    inside &= valid[..., tf.newaxis]
    distance = distance_to_other_kind(inside, valid, partition)
    return inside, tf.where(tf.math.is_finite(distance), distance, 0.0)


@register("boundary")
class Boundary(BorderLoss):
    """mean over pixels of phi p, the mean over classes; phi = d outside the true region, -(d - 1) inside.

    Kervadec et al. 2018 (arXiv 1812.07032). d is the distance in pixels to the nearest pixel on the other side of the
    true border, so phi is 0 on the region's outermost pixels, and the loss of the truth is below 0.

    Convention: the paper sums over chosen foreground classes; here it is the mean over `classes`, by default those
    present, background too (`classes=[1]` is the paper's binary case). Where there is no border (a class that is
    absent or everywhere) phi is 0. Soft labels and void: see `BorderLoss`.

    Use: beside a region loss, which finds the object: the paper takes a (generalized Dice) + (1 - a) (boundary), with
    a falling from 1 in the course of training (`scheduled_mix`).
    """

    exceptions: ClassVar[frozenset[str]] = BorderLoss.exceptions | {"zero_at_truth"}
    trains_alone: ClassVar[bool] = False

    def per_pixel(self, probabilities: tf.Tensor, truth: tf.Tensor, valid: tf.Tensor, partition: bool) -> tf.Tensor:
        inside, distance = border_distance(truth, valid, partition)
        return tf.where(inside & (distance > 0.0), 1.0 - distance, distance) * probabilities
