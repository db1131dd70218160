"""Running statistics of batch normalisation: shared between replicas, and recomputed for averaged weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.trial.strategy import distribute


def share_statistics(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Give every replica the mean of all replicas' running statistics, as it is saved in the weights.

    Replicas see different images, so that their statistics differ. Without this, scores would depend on which replica
    scored an image, and a training resumed from its weights would differ from one that never stopped.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    with strategy.scope():
        for variable in model.non_trainable_variables:
            if tf.as_dtype(variable.dtype).is_floating:
                variable.assign(variable.numpy())


RECALIBRATION = 0.95
"""Momentum of normalisation while its statistics are recomputed. Of 20 batches the last weighs 2.6 times the first."""


def recalibrate(model: keras.Model, dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> None:
    """Compute batch-norm statistics by forward passes over a few batches.

    Averaged weights need this (Izmailov et al. 2018, arXiv 1803.05407): the statistics of the weights that were
    averaged do not hold for the average.

    Args:
        model: its statistics are replaced in place.
        dataset: finite global batches whose first element is the images (B, H, W, 3).
        strategy: the strategy the model lives in.
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
            _scale_statistics(layer, 1 / (1 - RECALIBRATION**batches))  # the correction for a start at zero, as in Adam


def _scale_statistics(layer: Any, factor: float) -> None:
    """Multiply the running mean and variance of a layer."""
    for statistic in (layer.moving_mean, layer.moving_variance):
        statistic.assign(np.asarray(statistic) * np.float32(factor))
