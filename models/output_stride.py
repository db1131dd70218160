"""Output stride of a backbone by rewriting its graph: the same weights on a denser map.

Every stride beyond the wanted one is set to 1, and all layers behind it are dilated by that factor instead, so that the
dense map holds the original features at every `factor`-th position (Chen et al. 2017, arXiv 1706.05587). The layer that
loses its stride keeps the dilation that reached it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from models.atrous import AtrousConv2D
from models.compat import layer_of, operations
from models.layers import HardSigmoid
from models.normalisation import BatchNormalization

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


@dataclass
class _Scale:
    stride: int = 1  # of the rewritten graph, in pixels
    dilation: int = 1  # what later layers have to make up for


@dataclass
class _Change:
    """What happens to one layer; `kernel` is that of the 'valid' convolution behind a padding layer."""

    dilation: int = 1
    drop_stride: bool = False
    kernel: tuple[int, int] | None = None


def with_output_stride(model: keras.Model, output_stride: int, batch_norm_momentum: float | None = None) -> keras.Model:
    """A functional model whose maps are never smaller than 1/`output_stride` of the input, with the weights of `model`.

    Args:
        model: functional model of convolutions, pooling and element-wise layers, such as a KerasCV CNN backbone.
        output_stride: power of two; a stride the model does not reach leaves it as it is.
        batch_norm_momentum: of every batch normalisation; None keeps what the model has.

    Raises:
        ValueError: `output_stride` is no power of two, or a layer with a stride has no dilated counterpart.
    """
    if output_stride < 1 or output_stride & (output_stride - 1):
        raise ValueError(f"output_stride {output_stride!r} is not a power of two")
    changes = _changes(model, output_stride)

    def rewrite(layer: keras.layers.Layer) -> keras.layers.Layer:
        return _rewritten(layer, changes.get(layer.name, _Change()), batch_norm_momentum)

    dense = keras.models.clone_model(keras.Model(model.inputs, model.outputs), clone_function=rewrite)
    for layer in dense.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return dense


def _stride(layer: keras.layers.Layer) -> int:
    strides = getattr(layer, "strides", 1)
    return strides if isinstance(strides, int) else max(strides)


def _parents(layer: Any) -> list[str]:
    inputs = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    return [layer_of(tensor) for tensor in inputs]


def _changes(model: keras.Model, output_stride: int) -> dict[str, _Change]:
    """What has to change, by layer name, found by a walk in topological order."""
    scales: dict[str, _Scale] = {}
    changes: dict[str, _Change] = {}
    for layer in operations(model):
        if isinstance(layer, keras.layers.InputLayer):
            scales[layer.name] = _Scale()
            continue
        parents = _parents(layer)
        before = max((scales[name] for name in parents), key=lambda scale: (scale.stride, scale.dilation))
        factor = _stride(layer)
        drop = factor > 1 and before.stride * factor > output_stride
        changes[layer.name] = _Change(before.dilation, drop)
        if drop and isinstance(layer, _CONVOLUTIONS) and layer.padding == "valid":
            changes.setdefault(parents[0], _Change()).kernel = tuple(layer.kernel_size)
        stride, dilation = (1, factor) if drop else (factor, 1)
        scales[layer.name] = _Scale(before.stride * stride, before.dilation * dilation)
    return changes


def _rewritten(layer: keras.layers.Layer, change: _Change, momentum: float | None) -> keras.layers.Layer:
    """A new layer of the same name and weight shapes, dilated, and with stride 1 where the stride is dropped."""
    kind, config, dilation = type(layer), layer.get_config(), change.dilation
    convolves = isinstance(layer, _CONVOLUTIONS)
    if change.drop_stride and not convolves:
        raise ValueError(f"layer {layer.name!r} ({kind.__name__}) has a stride and no dilated counterpart")
    if kind is keras.layers.BatchNormalization:
        kind = BatchNormalization
        config["momentum"] = config["momentum"] if momentum is None else momentum
    if kind.__name__ == "SqueezeAndExcite2D" and type(layer.excite_activation).__name__ == "HardSigmoidActivation":
        # KerasCV 0.9 cannot read back a file that holds its own activation layer.
        config["excite_activation"] = HardSigmoid()
    if isinstance(layer, keras.layers.ZeroPadding2D) and change.kernel:
        # The first tap stays where it was, times the dilation; the rest makes the map keep its size.
        starts = [before * dilation for before, _ in layer.padding]
        spans = [(taps - 1) * dilation for taps in change.kernel]
        config["padding"] = tuple((start, span - start) for start, span in zip(starts, spans, strict=True))
    if change.drop_stride:
        config["strides"] = (1, 1)
    if convolves and dilation > 1 and max(layer.kernel_size) > 1:
        config["dilation_rate"] = (dilation, dilation)
        kind = AtrousConv2D if kind is keras.layers.Conv2D else kind
    return kind.from_config(config)
