"""Running statistics of batch normalisation: shared between replicas, and computed again for averaged weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.trial.strategy import distribute


def share_statistics(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Give every replica the mean of all replicas' running statistics, which is what weights on disk hold.

    Each replica's own differ, as it sees images of its own: scores would depend on which replica scored an image, and
    a training that goes on from its weights would not be the one that never stopped.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    with strategy.scope():
        for variable in model.non_trainable_variables:
            if tf.as_dtype(variable.dtype).is_floating:
                variable.assign(variable.numpy())


RECALIBRATION = 0.95
"""Momentum of normalisation while its statistics are made anew: of 20 batches the last counts 2.6 times the first."""


def recalibrate(model: keras.Model, dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> None:
    """Compute batch-norm statistics by forward passes over a few batches.

    Averaged weights have none of their own (Izmailov et al. 2018, arXiv 1803.05407), and those of the weights that were
    averaged say nothing of them.
    """
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "moving_variance") and layer.trainable]
    momenta = [layer.momentum for layer in layers]
    step = tf.function(
        lambda image: strategy.run(lambda x: model(tf.cast(x, tf.float32), training=True), args=(image,))
    )
    with strategy.scope():
        for layer in layers:
            layer.momentum = RECALIBRATION
            _scale_statistics(layer, 0.0)
        batches = 0
        for image, *_ in distribute(dataset, strategy):
            step(image)
            batches += 1
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            _scale_statistics(layer, 1 / (1 - RECALIBRATION**batches))  # as Adam does for its start at zero


def _scale_statistics(layer: Any, factor: float) -> None:
    for statistic in (layer.moving_mean, layer.moving_variance):
        statistic.assign(np.asarray(statistic) * np.float32(factor))
