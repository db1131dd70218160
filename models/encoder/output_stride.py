"""Change the output stride of a backbone by rewriting its graph: the same weights on a denser map.

Every stride beyond the wanted one is set to 1, and all layers behind it are dilated by that factor instead. So the
dense map holds the original features at every `factor`-th position (Chen et al. 2017, arXiv 1706.05587). The layer that
loses its stride keeps the dilation that reached it and the borders it had (see `models.layers.atrous.Border`), so the
features are the same at every size of the image. Means over the map, as in squeeze-and-excitation, are taken over the
original positions.

Some blocks are one layer to Keras: KerasCV's MBConv, FusedMBConv, cross-stage and squeeze-and-excitation, and
sequences. They are opened: their calls on a symbolic input make a functional model, which is rewritten in the same way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras

from models.compat import Call, calls, subscripts
from models.layers.atrous import AtrousConv2D, AtrousDepthwiseConv2D, AtrousGlobalAveragePooling2D, AtrousPooling2D
from models.layers.blocks import HardSigmoid, Slice
from models.layers.depthwise import COLUMNS
from models.layers.normalisation import BatchNormalization

_DENSE = {
    **dict.fromkeys((keras.layers.Conv2D, AtrousConv2D), AtrousConv2D),
    **dict.fromkeys((keras.layers.DepthwiseConv2D, AtrousDepthwiseConv2D), AtrousDepthwiseConv2D),
}
_POOLS = {keras.layers.MaxPooling2D: "max", keras.layers.AveragePooling2D: "average"}
_BLOCKS: dict[str, Callable[[Any, Any], Any]] = {  # {class name: calls of the block on a symbolic input}
    "MBConvBlock": lambda block, x: block.call(x),
    "FusedMBConvBlock": lambda block, x: block.call(x),
    "CrossStagePartial": lambda block, x: block.call(x),
    "SqueezeAndExcite2D": lambda block, x: keras.layers.Multiply()(
        [x, block.excite_conv(block.squeeze_conv(block.global_average_pool(x)))]
    ),
    "Sequential": lambda block, x: functools.reduce(lambda value, part: part(value), block.layers, x),
}


class _Scale(NamedTuple):
    stride: int = 1  # of the rewritten graph, in pixels
    dilation: int = 1  # for later layers to apply

    def behind(self, factor: int, drop: bool) -> _Scale:
        """Return the scale behind a layer of stride `factor`, which the layer keeps unless `drop`."""
        return _Scale(self.stride, self.dilation * factor) if drop else _Scale(self.stride * factor, self.dilation)


class _Place(NamedTuple):
    """A tensor of the new graph."""

    tensor: Any
    scale: _Scale


@dataclass(frozen=True)
class _Wish:
    output_stride: int
    momentum: float | None
    synchronised: bool | None

    def drops(self, factor: int, scale: _Scale) -> bool:
        """Return whether a stride is dropped; one behind a dropped stride always is, because no layer has both."""
        return factor > 1 and (scale.dilation > 1 or scale.stride * factor > self.output_stride)


def with_output_stride(
    model: keras.Model,
    output_stride: int,
    batch_norm_momentum: float | None = None,
    sync_batch_norm: bool | None = None,
) -> keras.Model:
    """Return a functional model with the weights of `model`, whose maps are at least 1/`output_stride` of the input.

    Args:
        model: functional model of convolutions, pooling and element-wise layers, such as a KerasCV CNN backbone.
        output_stride: power of two; a stride that the model does not reach leaves it unchanged.
        batch_norm_momentum: momentum of every batch normalisation; None keeps the model's.
        sync_batch_norm: whether batch normalisation takes its statistics over all replicas; None keeps the model's
            setting.

    Raises:
        ValueError: `output_stride` is no power of two, or a layer with a stride has no dilated counterpart.
    """
    if output_stride < 1 or output_stride & (output_stride - 1):
        raise ValueError(f"output_stride {output_stride!r} is not a power of two")
    wish = _Wish(output_stride, batch_norm_momentum, sync_batch_norm)
    images = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in model.inputs]
    dense = [_Place(image, _Scale()) for image in images]
    outputs = _replayed(keras.Model(model.inputs, model.outputs), dense, wish)
    return keras.Model(images if len(images) > 1 else images[0], [place.tensor for place in outputs], name=model.name)


def _replayed(model: keras.Model, inputs: Sequence[_Place], wish: _Wish) -> list[_Place]:
    """Return the outputs of `model` on other inputs, with the dense counterparts of its layers."""
    places = {id(tensor): place for tensor, place in zip(model.inputs, inputs, strict=True)}
    makers: dict[int, Call] = {}  # by id of the symbolic tensor
    layers: dict[str, Any] = {}
    for call in calls(model):
        layer, scale = call.layer, max(places[id(tensor)].scale for tensor in call.inputs)
        if taken := subscripts(call):
            sliced = Slice(taken, dtype=call.inputs[0].dtype)
            results = [_Place(sliced(places[id(call.inputs[0])].tensor), scale)]
        elif block := _opened(call):
            results = _replayed(block, [places[id(tensor)] for tensor in call.inputs], wish)
        else:
            factor = _stride(layer)
            drop = wish.drops(factor, scale)
            padding = _padding_before(call, makers, drop or scale.dilation > 1)
            if layer.name not in layers:
                layers[layer.name] = _counterpart(layer, scale.dilation, drop, padding, wish)
            sources = {id(tensor): places[id(tensor)].tensor for tensor in call.inputs}
            if padding:  # the dense layer pads by itself, so it reads the input of the padding
                sources[id(call.inputs[0])] = places[id(padding.inputs[0])].tensor
            tensors = call.again(layers[layer.name], sources)
            results = [_Place(tensor, scale.behind(factor, drop)) for tensor in tensors]
            if getattr(layer, "weights", ()):
                layers[layer.name].set_weights(layer.get_weights())
        for tensor, place in zip(call.outputs, results, strict=True):
            places[id(tensor)], makers[id(tensor)] = place, call
    return [places[id(tensor)] for tensor in model.outputs]


def primitives(model: keras.Model) -> list[Any]:
    """Return the layers of a functional model and of its blocks in call order, without the blocks themselves."""
    found: dict[int, Any] = {}
    for call in calls(model):
        block = _opened(call)
        found |= {id(part): part for part in ([call.layer] if block is None else primitives(block))}
    return [layer for layer in found.values() if isinstance(layer, keras.layers.Layer)]


def _opened(call: Call) -> keras.Model | None:
    """Return the inside of a block as a functional model that shares its weights; None if it is no such block."""
    layer = call.layer
    if call_inside := _BLOCKS.get(type(layer).__name__):
        image = keras.Input(call.inputs[0].shape[1:], dtype=call.inputs[0].dtype)
        return keras.Model(image, call_inside(layer, image))
    return layer if isinstance(layer, keras.Model) else None


def _stride(layer: Any) -> int:
    if layer.name == "stem_focus":  # CSPDarkNet: joins four slices of every second pixel
        return 2
    strides = getattr(layer, "strides", 1)
    return strides if isinstance(strides, int) else max(strides)


def _padding_before(call: Call, makers: Mapping[int, Call], changes: bool) -> Call | None:
    """Return the padding layer that the dense counterpart of a 'valid' layer has to replace, if there is one."""
    maker = makers.get(id(call.inputs[0]))
    if not (changes and maker and isinstance(maker.layer, keras.layers.ZeroPadding2D)):
        return None
    if type(call.layer) not in _DENSE or call.layer.padding != "valid":
        raise ValueError(
            f"layer {call.layer.name!r} behind the padding {maker.layer.name!r} has no dilated counterpart"
        )
    return maker


def _trained_in_pieces(layer: Any) -> bool:
    """Return whether a layer of the stride 1 that it has is a depthwise convolution with a wide filter."""
    return isinstance(layer, keras.layers.DepthwiseConv2D) and _stride(layer) == 1 and layer.kernel_size[1] > COLUMNS


def _counterpart(layer: Any, dilation: int, drop: bool, padding: Call | None, wish: _Wish) -> Any:
    """Make a layer of the same name and weight shapes, dilated, and with stride 1 where the stride is dropped."""
    kind, config = type(layer), layer.get_config()
    if "dilation_rate" in config and max(layer.kernel_size) > 1:
        config["dilation_rate"] = tuple(rate * dilation for rate in layer.dilation_rate)
    if type(getattr(layer, "activation", None)).__name__ == "HardSigmoidActivation":
        config["activation"] = HardSigmoid()  # KerasCV cannot read back a file that holds its own
    if kind in _DENSE:
        dilated = dilation > 1 and max(layer.kernel_size) > 1
        kind = _DENSE[kind] if drop or dilated or _trained_in_pieces(layer) else kind
        if drop or padding:
            borders = padding.layer.padding if padding else layer.padding
            config |= {"strides": (1, 1), "dropped_stride": _stride(layer), "borders": borders}
    elif kind in _POOLS:
        if drop or dilation > 1:
            kind, config = (
                AtrousPooling2D,
                {
                    "name": layer.name,
                    "dtype": config["dtype"],
                    "mode": _POOLS[kind],
                    "pool_size": layer.pool_size,
                    "rate": dilation,
                    "dropped_stride": _stride(layer),
                    "borders": layer.padding,
                },
            )
    elif drop:
        raise ValueError(f"layer {layer.name!r} ({kind.__name__}) has a stride and no dilated counterpart")
    elif kind in (AtrousPooling2D, AtrousGlobalAveragePooling2D):
        config["rate"] *= dilation
    elif kind is keras.layers.GlobalAveragePooling2D and dilation > 1:
        kind, config = AtrousGlobalAveragePooling2D, {**config, "rate": dilation}
    elif kind in (keras.layers.BatchNormalization, BatchNormalization):
        kind = BatchNormalization
        config |= {} if wish.momentum is None else {"momentum": wish.momentum}
        config |= {"synchronized": layer.synchronized if wish.synchronised is None else wish.synchronised}
    elif kind is keras.layers.Lambda and layer.function.__module__.endswith("csp_darknet_utils"):
        # KerasCV wraps its activation in a function that no file may hold.
        kind, config = keras.layers.Activation, {"name": layer.name, "dtype": config["dtype"], "activation": "silu"}
    return kind.from_config(config)
