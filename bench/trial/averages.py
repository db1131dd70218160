"""An exponential moving average of a model's weights, which is evaluated and kept in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.core import KERAS_3


class WeightAverage:
    """Averages all weights of a model over its steps, with the statistics of batch normalisation.

    An average that starts at the initial weights would keep a share of them for as many steps as it looks back. So the
    momentum of update t, counted from 0, is at most (1 + t) / (10 + t), as in tf.train.ExponentialMovingAverage.

    Source: Polyak and Juditsky (1992); Tarvainen and Valpola (2017, arXiv 1703.01780).

    Args:
        model: its weights are averaged; its variables exist already.
        momentum: share of the average that an update keeps, 0 to 1.
    """

    def __init__(self, model: keras.Model, momentum: float) -> None:
        self._model, self._momentum, self._updates = model, momentum, 0
        self._variables = [one.value if KERAS_3 else one for one in model.weights]
        self._averages = [
            tf.Variable(value, trainable=False) if np.issubdtype(value.dtype, np.floating) else None
            for value in model.get_weights()
        ]
        self._step = tf.function(self._average, autograph=False)

    def update(self) -> None:
        """Take the present weights into the average; call it after every step."""
        momentum = min(self._momentum, (1 + self._updates) / (10 + self._updates))
        self._step(tf.constant(momentum, tf.float32))
        self._updates += 1

    def _average(self, momentum: tf.Tensor) -> None:
        for average, variable in zip(self._averages, self._variables, strict=True):
            if average is not None:
                kept = tf.cast(momentum, average.dtype)
                average.assign(kept * average + (1 - kept) * tf.cast(variable, average.dtype))

    def weights(self) -> list[np.ndarray]:
        """Return the averages in Keras's order. What is no real number, such as a counter, has its present value."""
        own = self._model.get_weights()
        return [now if average is None else average.numpy() for average, now in zip(self._averages, own, strict=True)]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages into the model inside the block, and its own weights back behind it."""
        own = self._model.get_weights()
        self._model.set_weights(self.weights())
        try:
            yield
        finally:
            self._model.set_weights(own)

    def restore(self, weights: Sequence[np.ndarray], updates: int) -> None:
        """Continue an earlier average: `weights` as that of `weights()`, after that many updates."""
        for average, value in zip(self._averages, weights, strict=True):
            if average is not None:
                average.assign(value)
        self._updates = updates


class Averaging(keras.callbacks.Callback):
    """Updates an average after every step."""

    _supports_tf_logs = True  # otherwise Keras 2 copies the logs to the host after every batch

    def __init__(self, average: WeightAverage) -> None:
        super().__init__()
        self._average = average

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._average.update()
