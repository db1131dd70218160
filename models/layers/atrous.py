"""Atrous layers: convolution without space-to-batch, and the dense counterparts of strided layers.

Keras passes a dilated `Conv2D` to `tf.nn.convolution`, which on a CPU rearranges the map into `rate ** 2` small maps.
Two facts make that unnecessary. First, taps that fall outside the map at every position multiply padding only, so rows
and columns of the kernel that are a map's size away from the centre can be left out. At the small maps of training
crops most of a wide-rate kernel is left out. Second, `tf.nn.conv2d` takes dilations directly. A sum over the taps that
land inside (slice, 1x1 product, pad, add) took up to 2.4 times as long: `python -m bench.perf.atrous`. A CPU without
oneDNN has no gradient of `tf.nn.conv2d` with dilations, so there the map is rearranged after all.

Depthwise convolution is different. On a CPU `DepthwiseConv2dNative` accepts dilations and computes the right values,
but its gradients are those without dilation (seen in TensorFlow 2.15 and 2.21). `tf.nn.depthwise_conv2d` is right and
cheap enough, so only the trimming is added there, and filters wider than three columns are trained in pieces.

A layer that had a stride and lost it keeps the borders it had: see `Border`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from models.compat import depthwise_kernel, register
from models.layers.depthwise import depthwise
from models.layers.sizes import divided_up


class Border(NamedTuple):
    """The borders of one axis with which a layer of stride 1 computes what a strided one computed.

    It does so at every `stride * rate`-th place. TensorFlow's 'same' padding depends on size and stride: before an even
    map a 3x3 kernel of stride 2 pads nothing. So the dense layer has to pad as much as the strided one, times the rate,
    at any size. Where the strided layer made fewer places than fit, later layers saw zeros behind them, so the dense
    map has to end there too.

    Attributes:
        before, after: padding, pixels.
        kept: size of the result, at most that of the input.
        reach: `before` and `after` together, which does not depend on the size.
    """

    before: Any
    after: Any
    kept: Any
    reach: int

    @classmethod
    def of(cls, size: Any, taps: int, rate: int, stride: int, padding: str | Sequence[int]) -> Border:
        """Return the border of an axis of `size` places, a number or a scalar tensor.

        `padding` is 'same', 'valid' or (before, after).
        """
        ours = isinstance(size, int)
        original = divided_up(size, rate)
        if padding == "same":
            outputs = divided_up(original, stride)
            total = (outputs - 1) * stride + taps - original
            before = (max(total, 0) if ours else tf.maximum(total, 0)) // 2
        else:
            before, end = (0, 0) if isinstance(padding, str) else padding
            outputs = (original + before + end - taps) // stride + 1
        made, reach = outputs * stride * rate, (taps - 1) * rate
        return cls(before * rate, reach - before * rate, min(size, made) if ours else tf.minimum(size, made), reach)


Padding = str | tuple[Sequence[int], Sequence[int]]


def _fixed(borders: Any) -> Padding:
    """Return borders as tuples, also when a file gives lists: Keras would track a list."""
    return borders if isinstance(borders, str) else (tuple(borders[0]), tuple(borders[1]))


class _Dense:
    """Base of the dense counterparts: the stride they had, and the borders that follow from it."""

    dropped_stride: int
    borders: Padding

    def _border(self, size: Any, axis: int, taps: int, rate: int) -> Border:
        padding = self.borders if isinstance(self.borders, str) else self.borders[axis]
        return Border.of(size, taps, rate, self.dropped_stride, padding)

    def _borders(self, inputs: tf.Tensor, taps: Sequence[int], rates: Sequence[int]) -> list[Border]:
        sizes = [tf.shape(inputs)[1 + axis] if (size := inputs.shape[1 + axis]) is None else size for axis in (0, 1)]
        return [self._border(size, axis, taps[axis], rates[axis]) for axis, size in enumerate(sizes)]

    def _kept(self, sizes: Sequence[int | None], taps: Sequence[int], rates: Sequence[int]) -> tuple[int | None, ...]:
        return tuple(size and self._border(size, axis, taps[axis], rates[axis]).kept for axis, size in enumerate(sizes))


def _padded(inputs: tf.Tensor, borders: Sequence[Border], value: Any = 0) -> tf.Tensor:
    """Pad a map (B, H, W, C).

    Borders that depend on an unknown size are cut out of a padding of fixed width. Padding by a tensor would hide the
    number of channels, which LiteRT has to know.
    """
    widths = [
        (border.before, border.after) if isinstance(border.before, int) else (border.reach,) * 2 for border in borders
    ]
    if all(width == (0, 0) for width in widths):
        return inputs
    padded = tf.pad(inputs, [(0, 0), *widths, (0, 0)], constant_values=value)
    for axis, border in enumerate(borders, start=1):
        if not isinstance(border.before, int):
            start = border.reach - border.before
            place = (slice(None),) * axis
            padded = padded[(*place, slice(start, start + tf.shape(inputs)[axis] + border.reach))]
    return padded


def _cut(values: tf.Tensor, borders: Sequence[Border]) -> tf.Tensor:
    kept = [border.kept for border in borders]
    if all(isinstance(size, int) for size in kept) and list(values.shape[1:3]) == kept:
        return values
    return values[:, : kept[0], : kept[1]]


def _trim(kernel: tf.Tensor, inputs: tf.Tensor, rates: tuple[int, int]) -> tf.Tensor:
    """Return the kernel (kh, kw, ...) without the rows and columns that only meet the zeros of 'same' padding.

    It needs static height and width and odd kernel sizes. Otherwise it returns the whole kernel, which is equally right
    but slower.
    """
    for axis, rate in enumerate(rates):
        size, taps = inputs.shape[1 + axis], kernel.shape[axis]
        if size is not None and taps % 2:
            outside = max(0, taps // 2 - (size - 1) // rate)
            kernel = kernel[outside : taps - outside] if axis == 0 else kernel[:, outside : taps - outside]
    return kernel


def _rates(kernel: tf.Tensor, rates: Sequence[int]) -> list[int]:
    return [rate if taps > 1 else 1 for rate, taps in zip(rates, kernel.shape[:2], strict=True)]


@functools.cache
def _differentiates(dtype: tf.DType) -> bool:
    """Return whether this machine differentiates a dilated `tf.nn.conv2d` in this type.

    A CPU without AVX-512 refuses half precision. Without oneDNN it refuses single precision too. That is TensorFlow's
    default on some processors, so `bench.core.prepare_process` turns oneDNN on.
    """
    try:
        with tf.init_scope():  # no tape records here
            image, kernel = tf.ones((1, 3, 3, 1), dtype), tf.ones((3, 3, 1, 1), dtype)
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=image.shape, filter=kernel, out_backprop=image,
                strides=[1] * 4, padding="SAME", dilations=[1, 2, 2, 1],
            )  # fmt: skip
    except tf.errors.OpError:
        return False
    return True


@register
class AtrousConv2D(_Dense, keras.layers.Conv2D):
    """`Conv2D` of stride 1 with a dilation rate, faster than the Keras layer.

    Function, arguments, weights and checkpoint layout are those of Keras. It takes (B, H, W, C) and returns (B, H, W,
    filters) in the compute dtype. Value and gradient equal those of the Keras layer up to rounding.

    Args:
        dropped_stride: stride of the layer that this one is the dense counterpart of, see `Border`. The result may then
            be smaller than the input.
        borders: 'same', 'valid' or explicit ((top, bottom), (left, right)) padding of that layer; None: `padding`.
    """

    def __init__(self, *args: Any, dropped_stride: int = 1, borders: Padding | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dropped_stride, self.borders = dropped_stride, _fixed(borders or self.padding)

    def convolution_op(self, inputs: Any, kernel: Any) -> tf.Tensor:
        kernel = tf.convert_to_tensor(kernel)
        if self._plain:
            kernel = _trim(kernel, inputs, self.dilation_rate) if self.padding == "same" else kernel
            return _convolved(inputs, kernel, self.dilation_rate, self.padding)
        borders = self._borders(inputs, self.kernel_size, self.dilation_rate)
        return _cut(_convolved(_padded(inputs, borders), kernel, self.dilation_rate, "valid"), borders)

    @property
    def _plain(self) -> bool:
        return self.dropped_stride == 1 and self.borders == self.padding

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._plain:
            return super().compute_output_shape(input_shape)
        batch, *sizes, _ = input_shape
        shape = (batch, *self._kept(sizes, self.kernel_size, self.dilation_rate), self.filters)
        return type(input_shape)(shape) if isinstance(input_shape, tf.TensorShape) else shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dropped_stride": self.dropped_stride, "borders": self.borders}


def _convolved(inputs: tf.Tensor, kernel: tf.Tensor, rates: Sequence[int], padding: str) -> tf.Tensor:
    rates, dtype = _rates(kernel, rates), inputs.dtype
    kernel = tf.cast(kernel, dtype)
    if dtype.size == 2 and rates != [1, 1] and not _differentiates(dtype):
        inputs, kernel = tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)
    # `tf.nn.convolution` rearranges the map into small ones: slower, but any machine differentiates it.
    direct = rates == [1, 1] or _differentiates(inputs.dtype)
    convolution = tf.nn.conv2d if direct else tf.nn.convolution
    return tf.cast(convolution(inputs, kernel, 1, padding.upper(), dilations=rates), dtype)


@register
class AtrousDepthwiseConv2D(_Dense, keras.layers.DepthwiseConv2D):
    """`DepthwiseConv2D` of stride 1 with a dilation rate.

    It takes (B, H, W, C) and returns (B, H, W, C * depth_multiplier) in the compute dtype. Weights and checkpoint
    layout are those of Keras. Filters of more than three columns are trained in pieces: `models.layers.depthwise`.

    Args:
        dropped_stride, borders: as for `AtrousConv2D`.
    """

    def __init__(self, *args: Any, dropped_stride: int = 1, borders: Padding | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dropped_stride, self.borders = dropped_stride, _fixed(borders or self.padding)

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        values = self._convolved(inputs, tf.convert_to_tensor(depthwise_kernel(self)), training is True)
        values = tf.nn.bias_add(values, tf.convert_to_tensor(self.bias)) if self.use_bias else values
        return values if self.activation is None else self.activation(values)

    def _convolved(self, inputs: tf.Tensor, kernel: tf.Tensor, training: bool) -> tf.Tensor:
        if self.dropped_stride == 1 and self.borders == "same":
            kernel = _trim(kernel, inputs, self.dilation_rate)
            return depthwise(inputs, kernel, "SAME", _rates(kernel, self.dilation_rate), training)
        borders = self._borders(inputs, self.kernel_size, self.dilation_rate)
        rates = _rates(kernel, self.dilation_rate)
        return _cut(depthwise(_padded(inputs, borders), kernel, "VALID", rates, training), borders)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *sizes, channels = input_shape
        kept = self._kept(sizes, self.kernel_size, self.dilation_rate)
        shape = (batch, *kept, channels and channels * self.depth_multiplier)
        return type(input_shape)(shape) if isinstance(input_shape, tf.TensorShape) else shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dropped_stride": self.dropped_stride, "borders": self.borders}


@register
class AtrousPooling2D(_Dense, keras.layers.Layer):
    """Pooling of stride 1 over taps that are `rate` places apart.

    It takes (B, H, W, C) and returns the same shape, or a smaller map (see `Border`).

    Args:
        mode: `max` or `average`; places outside the map do not count.
        pool_size: number of taps along each axis.
        rate: dilation.
        dropped_stride, borders: as for `AtrousConv2D`.
    """

    def __init__(
        self, mode: str, pool_size: Sequence[int], rate: int, dropped_stride: int, borders: Padding, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.mode, self.pool_size, self.rate = mode, tuple(pool_size), rate
        self.dropped_stride, self.borders = dropped_stride, _fixed(borders)

    def call(self, inputs: Any) -> tf.Tensor:
        borders = self._borders(inputs, self.pool_size, (self.rate, self.rate))
        if self.mode == "max":
            return _cut(self._over_taps(_padded(inputs, borders, inputs.dtype.min), tf.maximum), borders)
        sums, counts = (
            self._over_taps(_padded(values, borders), tf.add) for values in (inputs, tf.ones_like(inputs[..., :1]))
        )
        return _cut(sums / counts, borders)

    def _over_taps(self, values: tf.Tensor, join: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
        for axis, taps in enumerate(self.pool_size):
            values = _windowed(values, taps, self.rate, 1 + axis, join)
        return values

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        batch, *sizes, channels = input_shape
        return (batch, *self._kept(sizes, self.pool_size, (self.rate, self.rate)), channels)

    def get_config(self) -> dict[str, Any]:
        own = {"mode": self.mode, "pool_size": self.pool_size, "rate": self.rate}
        return {**super().get_config(), **own, "dropped_stride": self.dropped_stride, "borders": self.borders}


def _windowed(
    values: tf.Tensor, taps: int, rate: int, axis: int, join: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Apply `join` over windows of `taps` places that are `rate` apart, doubling the windows as long as they fit."""

    def both(left: tf.Tensor, right: tf.Tensor, places: int, width: int) -> tf.Tensor:
        """Join windows of `places` with the windows of `width` behind them."""
        starts = (slice(None),) * axis
        return join(left[(*starts, slice(-width * rate))], right[(*starts, slice(places * rate, None))])

    result, done, power, width = values, 0, values, 1
    while True:
        if taps & width:
            result = both(result, power, done, width) if done else power
            done += width
        if 2 * width > taps:
            return result
        power = both(power, power, width, width)
        width *= 2


@register
class AtrousGlobalAveragePooling2D(keras.layers.GlobalAveragePooling2D):
    """Mean over every `rate`-th place: on a map that became denser, this is the mean of the original map."""

    def __init__(self, rate: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs: Any) -> Any:
        return tf.reduce_mean(inputs[:, :: self.rate, :: self.rate], (1, 2), keepdims=self.keepdims)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}
