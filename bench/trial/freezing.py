"""A backbone that is frozen for the first epochs of a training."""

from __future__ import annotations

from typing import Any

import keras

import models


class FrozenBackbone(keras.callbacks.Callback):
    """Freezes the backbone during the steps of an epoch, and no longer.

    Frozen layers get no update, and their batch normalisation is as in inference. A training step is traced in its
    first epoch, so the function of `fit` has to be made anew when a backbone is released.

    Outside of the steps the layers are as they were built. Keras 2 orders the weights of a layer of layers by what is
    trainable, so weights that were read in one state could not be put back in the other.

    Args:
        model: its layer `models.BACKBONE` is frozen.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._layers = [*model.get_layer(models.BACKBONE)._flatten_layers()]  # outer ones first
        self._built = [layer.trainable for layer in self._layers]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._layers[0].trainable = False  # and with it all inside

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for layer, trainable in zip(self._layers, self._built, strict=True):
            layer.trainable = trainable
