"""Differences between Keras 2.15 and Keras 3, and the name under which our layers are registered."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import keras
import tensorflow as tf

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3
AFTER_TF_2_15 = tuple(map(int, tf.__version__.split(".")[:2])) > (2, 15)
PACKAGE = "segmentation_bench"
register = keras.saving.register_keras_serializable(package=PACKAGE)


def check_tf_keras() -> None:
    """Check that `tf.keras`, of which KerasCV builds its layers, is the package `keras`, of which we build ours.

    Raises:
        ImportError: it is tf_keras, or would be; one line says why.
    """
    try:
        same = tf.keras.Model is keras.Model
    except ImportError:  # TensorFlow asks for tf_keras, which is not installed and would not help
        same = False
    if not same:
        raise ImportError(
            "tf.keras is not the package keras: unset TF_USE_LEGACY_KERAS before TensorFlow is imported (importing "
            "tensorflow_transform sets it)"
        )


def import_keras_cv() -> Any:
    """Return KerasCV; importing it takes seconds. The line that keras-core prints on Python 3.11 is left out.

    Raises:
        ImportError: see `check_tf_keras`.
    """
    check_tf_keras()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        found = import_module("keras_cv")
    # keras-core reads its switch for messages only once it is imported, and prints this one while it is.
    print(said.getvalue().replace("Using TensorFlow backend\n", ""), end="")
    return found


def import_keras_hub() -> Any:
    """Return KerasHub; importing it takes seconds.

    Raises:
        ImportError: it is not installed, or this is Keras 2.
    """
    if not KERAS_3:
        raise ImportError(f"KerasHub needs Keras 3; this is Keras {keras.__version__}")
    return import_module("keras_hub")


def depthwise_kernel(layer: keras.layers.DepthwiseConv2D) -> Any:
    """Return the kernel (kh, kw, C, multiplier) of a built depthwise convolution; Keras 3 renamed the attribute."""
    return layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel


class Call(NamedTuple):
    """One call in a functional model: the layer or operation, its symbolic tensors and its results."""

    layer: Any
    inputs: list[Any]
    outputs: list[Any]
    node: Any

    def again(self, layer: Any, tensors: Mapping[int, Any]) -> list[Any]:
        """Return the results of the same call of another layer; `tensors` maps ids of the tensors here to others."""
        if KERAS_3:
            arguments, named = self.node.arguments.fill_in(tensors)
        else:
            taken = {str(key): [value] * len(self.inputs) for key, value in tensors.items()}
            arguments, named = self.node.map_arguments(taken)
        given = {name: value for name, value in named.items() if value is not None}  # not every layer takes `mask`
        return tf.nest.flatten(layer(*arguments, **given))


def subscripts(call: Call) -> list[tuple[int | None, int | None, int | None]] | None:
    """Return start, stop and step along each axis if the call is `x[...]` with slices; None for any other call."""
    if type(call.layer).__name__ not in ("GetItem", "SlicingOpLambda"):
        return None
    _, taken = call.node.arguments.args if KERAS_3 else call.node.call_args
    # Keras 2.15 keeps a slice as a dictionary of start, stop and step.
    parts = [slice(*part.values()) if isinstance(part, dict) else part for part in taken]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(call.inputs[0].shape) - len(parts) + 1)
    return [(part.start, part.stop, part.step) for part in parts]


def calls(model: keras.Model) -> list[Call]:
    """Return all calls of a functional model except those of its inputs, in topological order."""
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    found = [
        Call(node.operation, list(node.input_tensors), list(node.outputs), node)
        if KERAS_3
        else Call(node.layer, tf.nest.flatten(node.keras_inputs), tf.nest.flatten(node.outputs), node)
        for node in nodes
    ]
    return [call for call in found if call.inputs]
