"""KerasHub's DeepLabV3+ and SegFormer on a backbone of this project, reference rows of comparisons.

KerasHub builds both for a static size. Their graph is called once more here, for sizes that are known only when it
runs, with other layers where one insists on a static size. With a static size they compute what the stock models do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

import keras
import tensorflow as tf

from models.compat import calls, import_keras_hub, register
from models.layers.blocks import UpSampling

keras_hub = import_keras_hub()
_Pooling: Any = import_module("keras_hub.src.models.deeplab_v3.deeplab_v3_layers").SpatialPyramidPooling
_SIDE = 64  # of the images that KerasHub builds its graph for; any multiple of 32


def deeplab(levels: keras.Model, num_classes: int, low_level_channels: int) -> Any:
    """Build KerasHub's DeepLabV3+ with the arguments of its own presets for PASCAL VOC, for images of 64 pixels.

    Args:
        levels: from scaled images (B, H, W, 3) to maps at strides 4, 8, 16 and 32.
        num_classes: channels of the logits.
        low_level_channels: to which the map at stride 4 is reduced; 48 in the presets.
    """
    backbone = keras_hub.models.DeepLabV3Backbone(
        image_encoder=_encoder(levels, ("P2", "P3", "P4", "P5")),
        projection_filters=low_level_channels,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[6, 12, 18],
        image_shape=(_SIDE, _SIDE, 3),
    )
    return keras_hub.models.DeepLabV3ImageSegmenter(backbone=backbone, num_classes=num_classes)


def segformer(levels: keras.Model, num_classes: int) -> Any:
    """Build KerasHub's SegFormer with the 256 channels of its presets and its dropout of 0.1, for images of 64 pixels.

    Its decoder is that of Xie et al. (2021, arXiv 2105.15203); the paper's encoder is a transformer.

    Args:
        levels: from scaled images (B, H, W, 3) to maps at strides 4, 8, 16 and 32.
        num_classes: channels of the logits.
    """
    encoder = _encoder(levels, ("P1", "P2", "P3", "P4"))
    encoder.hidden_dims = [1, 2, 3, 4]  # it only names layers by them, and the channels of two maps may be equal
    backbone = keras_hub.models.SegFormerBackbone(image_encoder=encoder, projection_filters=256)
    return keras_hub.models.SegFormerImageSegmenter(backbone=backbone, num_classes=num_classes)


def of_any_size(stock: Any, levels: keras.Model, image: Any) -> Any:
    """Return the float32 logits (B, H, W, num_classes) of a stock model, symbolic.

    Args:
        stock: from `deeplab` or `segformer`. Its layers are shared, but for those that other ones replace.
        levels: the model that `stock` was built on; it stays one layer.
        image: symbolic scaled images (B, H, W, 3); sides are multiples of 32.
    """
    return _AnySize(levels)(stock, image)


def _encoder(levels: keras.Model, names: Sequence[str]) -> Any:
    """Return what KerasHub takes for an encoder: a model of a static size that names the levels of its maps."""
    image = keras.Input((_SIDE, _SIDE, 3))
    encoder: Any = keras.Model(image, levels(image))
    encoder.pyramid_outputs = dict(zip(names, encoder.outputs, strict=True))
    return encoder


@register
class PyramidPooling(_Pooling):
    """KerasHub's pyramid pooling for maps (B, h, w, C) of any size, also of one that is known only when it runs.

    The original resizes by a layer of Keras that switches the layers after it to training, unless `training` is given
    (findings/keras3-resizing-trains-what-follows.sh).
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(tuple(input_shape))  # a saved model has a list

    def call(self, inputs: Any) -> tf.Tensor:
        *branches, pooled = (tf.cast(part(inputs), inputs.dtype) for part in self.aspp_parallel_channels)
        pooled = tf.cast(tf.image.resize(pooled, tf.shape(inputs)[1:3]), inputs.dtype)
        return self.projection(tf.concat([*branches, pooled], axis=-1))


class _AnySize:
    """The graph of a stock model, called again on images of any size. Models inside it are dissolved, but for one."""

    def __init__(self, kept: keras.Model) -> None:
        self._kept = kept
        self._made: dict[int, Any] = {}  # layers in place of others, by the id of the other
        self._classifier: Any = None  # the layer from which on values are float32

    def __call__(self, stock: Any, image: Any) -> Any:
        """Return the output of the stock model for symbolic images."""
        self._classifier = next(layer for layer in reversed(stock.layers) if isinstance(layer, keras.layers.Conv2D))
        (output,) = self._again(stock, [image])
        return output

    def _again(self, model: keras.Model, inputs: Iterable[Any]) -> list[Any]:
        tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
        for call in calls(model):
            given = [tensors[id(tensor)] for tensor in call.inputs]
            inside = getattr(call.layer, "_functional", call.layer)  # of a Sequential
            if isinstance(inside, keras.Model) and inside is not self._kept:
                found = self._again(inside, given)
            elif type(call.layer) is keras.layers.Resizing:
                found = [self._enlarged(call.inputs[0], call.outputs[0], given[0])]
            else:
                found = call.again(self._counterpart(call.layer), tensors)
            tensors |= {id(old): new for old, new in zip(call.outputs, found, strict=True)}
        return [tensors[id(output)] for output in model.outputs]

    def _enlarged(self, before: Any, after: Any, value: Any) -> Any:
        """Resize as the stock model does at its static size: it brings maps of several strides to that of one."""
        factors = tuple(new // old for old, new in zip(before.shape[1:3], after.shape[1:3], strict=True))
        if factors == (1, 1):
            return value
        dtype = "float32" if id(self._classifier) in self._made else None
        return UpSampling(factors, interpolation="bilinear", dtype=dtype)(value)

    def _counterpart(self, layer: Any) -> Any:
        kinds: dict[Any, Callable[..., Any]] = {
            keras.layers.UpSampling2D: UpSampling.from_config,
            _Pooling: PyramidPooling.from_config,
        }
        if id(layer) not in self._made and (layer is self._classifier or type(layer) in kinds):
            config = layer.get_config()
            if layer is self._classifier:  # half precision would round the logits
                self._made[id(layer)] = keras.layers.Conv2D.from_config({**config, "dtype": "float32"})
            else:
                self._made[id(layer)] = kinds[type(layer)](config)
        return self._made.get(id(layer), layer)
