"""Small layers shared by ASPP, decoder and heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from models.compat import register
from models.layers.atrous import AtrousConv2D, AtrousDepthwiseConv2D
from models.layers.normalisation import BatchNormalization
from models.layers.sizes import to_multiple
from models.spec import ModelSpec


@register
class ResizeLike(keras.layers.Layer):
    """Resize the first input (B, h, w, C) to the height and width of the second, bilinearly, with half-pixel centres.

    Sizes are any, dynamic ones too. The result has the layer's compute dtype.
    """

    def call(self, inputs: Any) -> tf.Tensor:
        values, like = inputs
        size = like.shape[1:3]
        if None not in size and values.shape[1:3] == size:
            return values
        resized = tf.image.resize(values, tf.shape(like)[1:3] if None in size else size)
        return tf.cast(resized, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        values, like = input_shape
        return (values[0], like[1], like[2], values[3])


@register
class UpSampling(keras.layers.UpSampling2D):
    """Bilinear `UpSampling2D`, which under Keras 3 refuses maps (B, h, w, C) without a static size."""

    def call(self, inputs: Any) -> tf.Tensor:
        if None not in inputs.shape[1:3]:
            return super().call(inputs)
        return tf.cast(tf.image.resize(inputs, tf.shape(inputs)[1:3] * self.size), inputs.dtype)


@register
class PadToMultiple(keras.layers.Layer):
    """Pad images (B, H, W, C) right and below with their mean colour until both sides are multiples of `multiple`.

    Sizes are any, dynamic ones too. Sides that are multiples already are not padded.

    Args:
        multiple: pixels.
        least: least length of the sides after padding, pixels; a multiple of `multiple`.
    """

    def __init__(self, multiple: int, least: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiple, self.least = multiple, least

    def call(self, inputs: Any) -> tf.Tensor:
        shape, dynamic = inputs.shape, tf.shape(inputs)
        missing = [self._missing(dynamic[axis] if shape[axis] is None else shape[axis]) for axis in (1, 2)]
        if all(isinstance(side, int) and side == 0 for side in missing):
            return inputs
        mean = tf.reduce_mean(inputs, axis=(1, 2), keepdims=True)
        return tf.pad(inputs - mean, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]) + mean

    def _missing(self, side: Any) -> Any:
        if isinstance(side, int):
            return max(to_multiple(side, self.multiple), self.least - side)
        return tf.maximum(to_multiple(side, self.multiple), self.least - side)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        batch, *size, channels = input_shape
        return (batch, *(side and side + self._missing(side) for side in size), channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple": self.multiple, "least": self.least}


@register
class CropLike(keras.layers.Layer):
    """Crop the first input (B, h, w, C) to its upper left part of the height and width of the second.

    Where it is smaller, it is extended by its mirror image, by at most its own size: the last rows and columns again.
    """

    def call(self, inputs: Any) -> tf.Tensor:
        values, like = inputs
        size = like.shape[1:3]
        if None not in size and values.shape[1:3] == size:
            return values
        wanted, found = tf.shape(like)[1:3], tf.shape(values)[1:3]
        lacking = tf.maximum(wanted - found, 0)
        whole = tf.pad(values, [[0, 0], [0, lacking[0]], [0, lacking[1]], [0, 0]], "SYMMETRIC")
        return tf.ensure_shape(whole[:, : wanted[0], : wanted[1]], (None, *size, None))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        values, like = input_shape
        return (values[0], like[1], like[2], values[3])


@register
class Slice(keras.layers.Layer):
    """Slice `x[start:stop:step, ...]`, (start, stop, step) per axis; Keras 2.15 cannot save the operator itself."""

    def __init__(self, slices: Sequence[Sequence[int | None]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices = [list(part) for part in slices]

    def call(self, inputs: Any) -> tf.Tensor:
        return inputs[tuple(slice(*part) for part in self.slices)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "slices": self.slices}


@register
class Stack(keras.layers.Layer):
    """Stack N inputs (B, ...) of one shape to (B, N, ...)."""

    def call(self, inputs: Any) -> tf.Tensor:
        return tf.stack(inputs, axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        first, *_ = input_shape
        return (first[0], len(input_shape), *first[1:])


@register
class HardSigmoid(keras.layers.Layer):
    """relu6(x + 3) / 6 (Howard et al. 2019, arXiv 1905.02244); `hard_sigmoid` of Keras 2.15 has another slope."""

    def call(self, inputs: Any) -> tf.Tensor:
        return tf.nn.relu6(inputs + 3.0) / 6.0


def convolution(x: Any, channels: int, name: str, *, kernel: int = 1, rate: int = 1, separable: bool = False) -> Any:
    """Convolve (B, H, W, C) to (B, H, W, channels) with 'same' padding and no bias; a normalisation should follow.

    Separable: a depthwise convolution, then a 1x1 one, with nothing between.
    """
    if separable and kernel > 1:
        # Each channel has its own kernel, so its fan is kernel**2; Keras would count the other channels too.
        start = keras.initializers.RandomNormal(stddev=1 / kernel)
        x = AtrousDepthwiseConv2D(
            kernel,
            padding="same",
            dilation_rate=rate,
            use_bias=False,
            depthwise_initializer=start,
            name=f"{name}_depthwise",
        )(x)
        kernel = rate = 1
    return AtrousConv2D(
        channels,
        kernel,
        padding="same",
        dilation_rate=rate,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)


def normalise(x: Any, name: str, spec: ModelSpec) -> Any:
    """Apply batch normalisation and ReLU."""
    momentum, synchronized = spec.momentum, spec.sync_batch_norm
    x = BatchNormalization(momentum=momentum, synchronized=synchronized, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
