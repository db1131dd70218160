"""Depthwise convolution whose filter is trained in pieces of three columns.

For the gradient of a depthwise filter oneDNN's fast kernel serves up to three columns. Wider filters go to its kernel
for grouped convolutions, which takes 6 to 10 times as long (`findings/onednn-wide-depthwise-filters-train-slowly.sh`).
Each column of a filter meets its own shift of the map, so the gradient of a wide filter is joined from those of pieces
over shifted maps. Values and gradients are the same up to the order of sums.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

COLUMNS = 3
"""Columns of a filter that oneDNN's fast kernel serves."""
_ONE = (1, 1, 1, 1)


def depthwise(inputs: tf.Tensor, kernel: tf.Tensor, padding: str, rates: Sequence[int], training: bool) -> tf.Tensor:
    """Return the depthwise convolution of stride 1 that `tf.nn.depthwise_conv2d` computes.

    Args:
        inputs: (B, H, W, C), any floating type.
        kernel: (kh, kw, C, multiplier), of the same type.
        padding: 'SAME' or 'VALID'.
        rates: dilation in rows and columns.
        training: whether a gradient of the filter is wanted, for which wide filters are divided. A file for inference
            gets the plain operation.
    """
    if not (training and kernel.shape[1] > COLUMNS and _on_cpu()):
        return tf.nn.depthwise_conv2d(inputs, kernel, _ONE, padding, dilations=rates)

    def convolved(values: tf.Tensor, _: int, padding: str) -> tf.Tensor:
        return _in_pieces(padding)(values, kernel)

    return tf.nn.with_space_to_batch(inputs, list(rates), padding, convolved, filter_shape=kernel.shape[:2])


@functools.cache
def _on_cpu() -> bool:
    return not tf.config.list_logical_devices("GPU")


@functools.cache
def _in_pieces(padding: str) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    @tf.custom_gradient
    def convolved(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        def gradients(upstream: tf.Tensor) -> list[tf.Tensor]:
            of_inputs = tf.nn.depthwise_conv2d_backprop_input(tf.shape(inputs), kernel, upstream, _ONE, padding)
            return [tf.ensure_shape(of_inputs, inputs.shape), _of_filter(inputs, kernel.shape, upstream, padding)]

        return tf.nn.depthwise_conv2d(inputs, kernel, _ONE, padding), gradients

    return convolved


def _of_filter(inputs: tf.Tensor, shape: tf.TensorShape, upstream: tf.Tensor, padding: str) -> tf.Tensor:
    """Return the gradient of a filter of `shape` from those of its pieces."""
    rows, columns, *depth = shape.as_list()
    if padding == "SAME":
        borders = [((taps - 1) // 2, taps // 2) for taps in (rows, columns)]
        inputs = tf.pad(inputs, [(0, 0), *borders, (0, 0)])
    width, pieces = tf.shape(upstream)[2], []
    for start in range(0, columns, COLUMNS):
        taps = min(COLUMNS, columns - start)
        met = inputs[:, :, start : start + width + taps - 1]
        pieces.append(tf.nn.depthwise_conv2d_backprop_filter(met, (rows, taps, *depth), upstream, _ONE, "VALID"))
    return tf.concat(pieces, axis=1)
