"""Batch normalisation by one fused operation on both stacks.

Keras 2.15 fuses by itself. Keras 3 composes it of some thirty operations, which cost time at every step and, with fifty
normalisations in a backbone, seconds of tracing.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from models.compat import KERAS_3, register


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """`BatchNormalization` of (B, H, W, C) over its last axis: function, arguments, weights of the Keras layer.

    As in Keras 2.15, the running variance takes the unbiased estimate of the batch.
    """

    if KERAS_3:

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
            learning = bool(training and self.trainable)
            inputs = tf.cast(inputs, self.compute_dtype)
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
                kept = self.momentum
                self.moving_mean.assign(mean * kept + batch_mean * (1 - kept))
                self.moving_variance.assign(variance * kept + batch_variance * (1 - kept))
            return normalised
