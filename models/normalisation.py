"""Batch normalisation by one fused operation on both stacks, over one replica's batch or over that of all.

Keras 2.15 fuses by itself. Keras 3 composes it of some thirty operations, which cost time at every step and, with fifty
normalisations in a backbone, seconds of tracing. Synchronised, both sum in half precision and reduce three times over
the replicas; here it is float32 and twice.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from models.compat import KERAS_3, register


def _summed(values: tf.Tensor) -> tf.Tensor:
    """Over the replicas of a distribution strategy, if this is one."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values) if context else values


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
        count = tf.cast(tf.reduce_prod(tf.shape(values)[:-1]), tf.float32)
        total = _summed(tf.concat([tf.reduce_sum(values, (0, 1, 2)), count[None]], 0))
        mean, count = total[:-1] / total[-1], total[-1]
        # The mean first: E[x^2] - E[x]^2, in one reduction less, cancels where the mean is large.
        centred = values - mean
        squares = _summed(tf.reduce_sum(tf.square(centred), (0, 1, 2)))
        self._follow(mean, squares / tf.maximum(count - 1.0, 1.0))
        scale, offset = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        return tf.cast(centred * (scale * tf.math.rsqrt(squares / count + self.epsilon)) + offset, self.compute_dtype)

    def _follow(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        kept = self.momentum
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(tf.convert_to_tensor(moving) * kept + tf.stop_gradient(batch) * (1 - kept))
