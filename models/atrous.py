"""Atrous convolution that does not go through space-to-batch.

Keras hands a dilated `Conv2D` to `tf.nn.convolution`, which on a CPU rearranges the map into `rate ** 2` small maps.
Two facts make that needless. Taps that fall outside the map at every position multiply padding only, so rows and
columns of the kernel that are a map's size away from the centre can be left out: at the small maps of training crops
most of a wide-rate kernel goes. And `tf.nn.conv2d` takes dilations directly. The sum over the taps that land inside
(slice, 1x1 product, pad, add) took up to 2.4 times as long: `python -m bench.perf.atrous`.

Depthwise is different: `DepthwiseConv2dNative` accepts dilations on a CPU and computes the right values, but gradients
as if there were no dilation (seen in TensorFlow 2.15 and 2.21). `tf.nn.depthwise_conv2d` is right and cheap enough, so
there only the trimming is added.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from models.compat import depthwise_kernel, register


def _trim(kernel: tf.Tensor, inputs: tf.Tensor, rates: tuple[int, int]) -> tf.Tensor:
    """The kernel (kh, kw, ...) without the rows and columns that only ever meet the zeros of 'same' padding.

    Needs static height and width and odd kernel sizes; otherwise the kernel comes back whole: as right, and slower.
    """
    for axis, rate in enumerate(rates):
        size, taps = inputs.shape[1 + axis], kernel.shape[axis]
        if size is not None and taps % 2:
            outside = max(0, taps // 2 - (size - 1) // rate)
            kernel = kernel[outside : taps - outside] if axis == 0 else kernel[:, outside : taps - outside]
    return kernel


@functools.cache
def _direct_gradients() -> bool:
    """Whether this machine differentiates a dilated `tf.nn.conv2d`: a CPU without oneDNN refuses to."""
    with tf.init_scope(), tf.GradientTape() as tape:
        image = tf.ones((1, 3, 3, 1))
        tape.watch(image)
        value = tf.nn.conv2d(image, tf.ones((3, 3, 1, 1)), 1, "SAME", dilations=2)
    try:
        with tf.init_scope():
            tape.gradient(value, image)
    except tf.errors.OpError:
        return False
    return True


@register
class AtrousConv2D(keras.layers.Conv2D):
    """`Conv2D` of stride 1 with a dilation rate: function, arguments, weights and checkpoint layout of Keras's, faster.

    (B, H, W, C) to (B, H, W, filters) of the compute dtype. Equal to the Keras layer to rounding, value and gradient.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> tf.Tensor:
        kernel = tf.convert_to_tensor(kernel)
        if self.padding == "same":
            kernel = _trim(kernel, inputs, self.dilation_rate)
        rates = [rate if taps > 1 else 1 for rate, taps in zip(self.dilation_rate, kernel.shape[:2], strict=True)]
        convolve = tf.nn.conv2d if rates == [1, 1] or _direct_gradients() else tf.nn.convolution
        return convolve(inputs, kernel, strides=1, padding=self.padding.upper(), dilations=rates)


@register
class AtrousDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`DepthwiseConv2D` of stride 1 and padding 'same' with a dilation rate, without a bias or activation.

    (B, H, W, C) to (B, H, W, C * depth_multiplier) of the compute dtype; weights and checkpoint layout of Keras's.
    """

    def call(self, inputs: Any) -> tf.Tensor:
        kernel = _trim(tf.convert_to_tensor(depthwise_kernel(self)), inputs, self.dilation_rate)
        rates = [rate if taps > 1 else 1 for rate, taps in zip(self.dilation_rate, kernel.shape[:2], strict=True)]
        return tf.nn.depthwise_conv2d(inputs, kernel, (1, 1, 1, 1), "SAME", dilations=rates)
