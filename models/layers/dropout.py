"""Dropout whose units are a function of (seed, layer, step, replica), so that a resumed training drops the same ones.

Neither a weights file nor a TensorFlow checkpoint carries the generator of Keras's own dropout.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from models.compat import register

_REPLICAS = 1 << 16


class _Steps:
    """Count of training calls so far, in an object of its own: a layer would track the variable as a weight."""

    def __init__(self) -> None:
        # Each replica counts its own calls, without a merge in the middle of a step.
        self.taken = tf.Variable(0, trainable=False, dtype=tf.int64, name="dropout_steps")


@register
class Dropout(keras.layers.Layer):
    """Inverted dropout (Srivastava et al. 2014, JMLR 15).

    A unit is set to 0 with probability `rate`; otherwise it is divided by 1 - rate.

    Args:
        rate: in [0, 1).
        noise_shape: shape of the mask, None on an axis where it is that of the input; (None, 1, 1, 1) drops whole
            images.
        seed: together with the layer's name and the number of the training call, it determines what is dropped.
    """

    def __init__(
        self, rate: float, noise_shape: tuple[int | None, ...] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed
        self._steps = _Steps()

    @property
    def steps(self) -> tf.Variable:
        """Return the int64 count of training calls so far; a resumed training has to set it."""
        return self._steps.taken

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        if not training or not self.rate:
            return inputs
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64) if context else tf.constant(0, tf.int64)
        layer = zlib.crc32(self.name.encode()) << 31 | (self.seed or 0)
        key = tf.stack([tf.constant(layer, tf.int64), self.steps * _REPLICAS + replica])
        self.steps.assign_add(1)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, key, noise_shape=self._shape(inputs))

    def _shape(self, inputs: tf.Tensor) -> list[Any] | None:
        if self.noise_shape is None:
            return None
        shape = tf.shape(inputs)
        return [shape[axis] if side is None else side for axis, side in enumerate(self.noise_shape)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}


def dropouts(model: keras.Model) -> Iterator[Dropout]:
    """Yield all layers of this kind in a model, nested models included, in a fixed order."""
    for layer in model.layers:
        if isinstance(layer, Dropout):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from dropouts(layer)


def seed_dropout(model: keras.Model, seed: int | None) -> None:
    """Set one seed for all layers of this kind; call this before the model is first trained."""
    for layer in dropouts(model):
        layer.seed = seed
