"""Batch normalisation by one fused operation on both stacks, over one replica's batch or over that of all.

Keras 2.15 fuses by itself. Keras 3 composes it of some thirty operations, which cost time at every step and, with fifty
normalisations in a backbone, seconds of tracing. Synchronised, both sum in half precision and reduce three times over
the replicas; here it is float32 and once.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from models.compat import KERAS_3, register


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """`BatchNormalization` of (B, H, W, C) over its last axis: function, arguments, weights of the Keras layer.

    With `synchronized` the statistics are those of the global batch of a distribution strategy: N replicas compute what
    one device computes that sees all their images. The running variance takes the unbiased estimate of the batch, as in
    Keras 2.15.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        learning = bool(training and self.trainable)
        if not KERAS_3 and not self.synchronized:
            return super().call(inputs, training=training)
        inputs = tf.cast(inputs, self.compute_dtype)
        if learning and self.synchronized:
            return self._over_replicas(inputs)
        scale, offset, mean, variance = (
            tf.convert_to_tensor(value) for value in (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        )
        empty = tf.zeros((0,), mean.dtype)
        normalised, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            scale,
            offset,
            mean=empty if learning else mean,
            variance=empty if learning else variance,
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            self._follow(batch_mean, batch_variance)
        return normalised

    def _over_replicas(self, inputs: tf.Tensor) -> tf.Tensor:
        values = tf.cast(inputs, tf.float32)
        # Sums of differences from about the mean: E[x^2] - E[x]^2 would cancel where the mean is large.
        origin = tf.stop_gradient(tf.convert_to_tensor(self.moving_mean))
        shifted = values - origin
        count = tf.cast(tf.reduce_prod(tf.shape(values)[:-1]), tf.float32)
        sums = tf.concat(
            [tf.reduce_sum(shifted, (0, 1, 2)), tf.reduce_sum(tf.square(shifted), (0, 1, 2)), count[None]], 0
        )
        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, sums) if context else sums
        channels = values.shape[-1]
        count = total[-1]
        distance = total[:channels] / count
        variance = tf.maximum(total[channels:-1] / count - tf.square(distance), 0.0)
        mean = origin + distance
        self._follow(mean, variance * count / tf.maximum(count - 1.0, 1.0))
        normalised = tf.nn.batch_normalization(
            values, mean, variance, tf.convert_to_tensor(self.beta), tf.convert_to_tensor(self.gamma), self.epsilon
        )
        return tf.cast(normalised, self.compute_dtype)

    def _follow(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        kept = self.momentum
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(tf.convert_to_tensor(moving) * kept + tf.stop_gradient(batch) * (1 - kept))
