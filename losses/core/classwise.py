"""Losses that are a mean over classes."""

from collections.abc import Sequence

import tensorflow as tf

from losses.core.base import FormulaLoss, require
from losses.core.reductions import over_groups, over_pixels


def class_sums(terms: Sequence[tf.Tensor], weight: tf.Tensor, average: str) -> list[tf.Tensor]:
    """Return the weighted sums over pixels, (groups, C) each, of terms (B,H,W,C) with pixel weights (B,H,W).

    A group is an image (`average="image"`) or the global batch (`"batch"`: one all-reduce for all terms).
    """
    return over_groups([over_pixels(weight[..., tf.newaxis] * term) for term in terms], average)


class ClassLoss(FormulaLoss):
    """A weighted mean over classes of one value per class and group; a group is an image or the global batch.

    Convention: `activation` gives probabilities ("softmax"; "sigmoid" for independent channels, and for one channel).
    `classes` chooses the classes in the mean: "present" (those with truth in the group), "all", or a list of ids, which
    count whether present or not. Class weights weigh the mean; it is divided by their sum over the classes that count.
    """

    activation: str = "softmax"  # type: ignore[misc]
    classes: str | Sequence[int] = "present"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.classes, str):
            self.classes = tuple(int(c) for c in self.classes)
        named = self.classes in ("present", "all")
        listed = not isinstance(self.classes, str) and len(self.classes) > 0 and min(self.classes) >= 0
        require(named or listed, "classes", self.classes, "'present', 'all' or a list of class ids")
        require(self.activation in ("softmax", "sigmoid"), "activation", self.activation, "'softmax' or 'sigmoid'")

    def probabilities(self, logits: tf.Tensor) -> tf.Tensor:
        """Return the probabilities (B,H,W,C) of logits (B,H,W,C) by the activation."""
        return tf.nn.softmax(logits) if self.activation == "softmax" else tf.sigmoid(logits)

    def mean_over_classes(self, values: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
        """Return the means (groups,) of values (groups, C), given the mass of truth (groups, C) of each class."""
        share = self.weights_in_mean(truth)
        # The gradient of a class that is left out must not be 0 * inf.
        values = tf.where(share > 0.0, values, 0.0)
        return tf.math.divide_no_nan(tf.reduce_sum(share * values, axis=-1), tf.reduce_sum(share, axis=-1))

    def weights_in_mean(self, truth: tf.Tensor) -> tf.Tensor:
        """Return the weight (groups, C) of each class in the mean, zero for a class that is left out.

        Raises:
            ValueError: `classes` has an id that is no channel.
        """
        channels = truth.shape[-1]
        weights = self.weights_of_classes(channels)
        if self.classes == "present":
            return weights * tf.cast(tf.stop_gradient(truth) > 0.0, tf.float32)
        if self.classes != "all":
            if max(int(c) for c in self.classes) >= channels:
                raise ValueError(f"classes has id {max(self.classes)} for {channels} classes")  # type: ignore[type-var]
            weights *= tf.constant([float(c in self.classes) for c in range(channels)])
        return tf.broadcast_to(weights, tf.shape(truth))
