"""Batch normalisation by one fused operation on Keras 2 and 3, over the batch of one replica or of all replicas.

Keras 2.15 fuses by itself, unless it synchronises. Keras 3 composes batch normalisation of some thirty operations. They
cost time at every step and, with fifty normalisations in a backbone, seconds of tracing. If synchronised, both sum in
half precision and reduce three times over the replicas; here the sums are float32 and there are two reductions. The
fused operation does not support double precision, which is left to Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from models.compat import KERAS_3, register


def _summed(values: tf.Tensor) -> tf.Tensor:
    """Sum values over the replicas of a distribution strategy, if there is one."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values) if context else values


def _mean_of_replicas(create: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
    """Create a variable that each replica updates by its own images; reading or saving it gives the mean of all.

    This is the behaviour of Keras 2. Keras 3 has no argument for it, and gives the value of the first replica.
    """
    kwargs |= {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.MEAN}
    return create(**kwargs)


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """`BatchNormalization` of (B, H, W, C) over its last axis, with function, arguments and weights of the Keras layer.

    With `synchronized` the statistics are those of the global batch of a distribution strategy: N replicas compute the
    same as one device that sees all their images. The running variance takes the unbiased estimate of the batch, as in
    Keras 2.15.
    """

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        if not (KERAS_3 and str(kwargs.get("name")).startswith("moving_")):
            return super().add_weight(*args, **kwargs)
        with tf.variable_creator_scope(_mean_of_replicas):
            return super().add_weight(*args, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        learning = bool(training and self.trainable)
        double = self.compute_dtype == "float64"  # not supported by the fused operation
        fuses_itself = not KERAS_3 and not self.synchronized  # Keras 2.15 never fuses if synchronised
        if fuses_itself or (double and not (learning and self.synchronized)):
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

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "synchronized": self.synchronized}  # missing in Keras 2.15

    def _over_replicas(self, inputs: tf.Tensor) -> tf.Tensor:
        """Compute the moments by the corrected two-pass algorithm (Chan, Golub and LeVeque 1983).

        The first pass gives a rough mean, the second both moments about it. One pass with E[x^2] - E[x]^2 would cancel
        where the mean is large, and a mean of large values is itself off by many roundings. The result does not depend
        on the rough mean, so it needs no gradient and no third reduction over the replicas.
        """
        values = tf.cast(inputs, tf.float32)
        count = tf.cast(tf.reduce_prod(tf.shape(values)[:-1]), tf.float32)
        total = _summed(tf.concat([tf.reduce_sum(values, (0, 1, 2)), count[None]], 0))
        rough, count = tf.stop_gradient(total[:-1] / total[-1]), total[-1]
        centred = values - rough
        sums = tf.concat([tf.reduce_sum(part, (0, 1, 2)) for part in (centred, tf.square(centred))], 0)
        shift, squares = tf.split(_summed(sums) / count, 2)
        variance = squares - tf.square(shift)
        self._follow(rough + shift, variance * (count / tf.maximum(count - 1.0, 1.0)))
        scale = tf.convert_to_tensor(self.gamma) * tf.math.rsqrt(variance + self.epsilon)
        return tf.cast((centred - shift) * scale + tf.convert_to_tensor(self.beta), self.compute_dtype)

    def _follow(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        kept = self.momentum
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(tf.convert_to_tensor(moving) * kept + tf.stop_gradient(batch) * (1 - kept))
