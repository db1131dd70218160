"""What differs between Keras 2.15 and Keras 3, and the one name under which our layers are registered."""

from __future__ import annotations

from typing import Any

import keras

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3
PACKAGE = "segmentation_bench"
register = keras.saving.register_keras_serializable(package=PACKAGE)


def depthwise_kernel(layer: keras.layers.DepthwiseConv2D) -> Any:
    """The kernel variable (kh, kw, C, multiplier) of a built depthwise convolution; Keras 3 renamed the attribute."""
    return layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel


def layer_of(tensor: Any) -> str:
    """Name of the layer that made a symbolic Keras tensor."""
    history = tensor._keras_history
    return (history.operation if hasattr(history, "operation") else history.layer).name


def operations(model: keras.Model) -> list[Any]:
    """The nodes of a functional model in topological order; Keras 3 keeps operations that are no layers apart."""
    return list(getattr(model, "operations", None) or model.layers)
