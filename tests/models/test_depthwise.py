"""Depthwise convolution that trains wide filters in pieces: the numbers of TensorFlow's, without its slow operation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.encoder.output_stride import with_output_stride
from models.layers.depthwise import COLUMNS, depthwise

SLOW = "DepthwiseConv2dNativeBackpropFilter"


def tensors(taps: tuple[int, int], multiplier: int, *sizes: int) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(2, *sizes, 3))), tf.constant(rng.normal(size=(*taps, 3, multiplier)))


def with_gradients(image: tf.Tensor, kernel: tf.Tensor, padding: str, rates: tuple[int, int], training: bool) -> list:
    with tf.GradientTape() as tape:
        tape.watch([image, kernel])
        values = depthwise(image, kernel, padding, rates, training)
        total = tf.reduce_sum(values * tf.reshape(tf.range(tf.size(values), dtype=values.dtype), tf.shape(values)))
    return [values, *tape.gradient(total, [image, kernel])]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("rates", [(1, 1), (2, 2)])
@pytest.mark.parametrize("taps", [(5, 5), (3, 5), (5, 4), (7, 7), (1, 9)])
def test_values_and_gradients_are_those_of_tensorflow(taps, rates, padding):
    image, kernel = tensors(taps, 2, 17, 18)
    found = with_gradients(image, kernel, padding, rates, training=True)
    expected = with_gradients(image, kernel, padding, rates, training=False)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-9)


def test_a_filter_by_hand():
    """A row 1 2 3 4 under a filter of five columns: the gradient of a column is the sum of what it met."""
    image = tf.reshape(tf.constant([1.0, 2, 3, 4]), (1, 1, 4, 1))
    with tf.GradientTape() as tape:
        kernel = tf.zeros((1, 5, 1, 1))
        tape.watch(kernel)
        total = tf.reduce_sum(depthwise(image, kernel, "SAME", (1, 1), training=True))
    # Column j of the filter lies j - 2 places to the right: it meets 1 2, 1 2 3, 1 2 3 4, 2 3 4 and 3 4.
    assert tf.reshape(tape.gradient(total, kernel), [-1]).numpy().tolist() == [3, 6, 10, 9, 7]


def test_sizes_that_are_known_when_it_runs():
    image, kernel = tensors((5, 5), 1, 9, 8)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float64)])
    def gradient(image: tf.Tensor) -> tf.Tensor:
        return with_gradients(image, kernel, "SAME", (2, 2), training=True)[2]

    np.testing.assert_allclose(gradient(image), with_gradients(image, kernel, "SAME", (2, 2), False)[2], rtol=1e-12)


def _model() -> keras.Model:
    image = keras.Input((16, 16, 4))
    x = keras.layers.DepthwiseConv2D(5, padding="same")(image)
    x = keras.layers.DepthwiseConv2D(5, strides=2, padding="same")(x)
    return keras.Model(image, keras.layers.DepthwiseConv2D((3, 7), padding="same")(x))


@pytest.mark.parametrize("stride", [2, 1])  # as it is, and with the stride turned into a dilation
def test_a_backbone_trains_without_the_slow_operation_and_predicts_by_the_plain_one(stride):
    stock = _model()
    ours = with_output_stride(stock, stride)
    image = tf.random.stateless_normal((2, 16, 16, 4), (0, 1))

    @tf.function
    def train(image: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(ours(image, training=True))
        return tape.gradient(total, ours.trainable_variables)

    @tf.function
    def predict(image: tf.Tensor) -> tf.Tensor:
        return ours(image, training=False)

    operations = train.get_concrete_function(image).graph.get_operations()
    widths = [op.outputs[0].shape[1] for op in operations if op.type == SLOW]
    assert sum(width > COLUMNS for width in widths) == (stride == 2)  # that of the layer which keeps its stride
    assert len(widths) > len(ours.trainable_variables) // 2
    assert "IdentityN" not in {op.type for op in predict.get_concrete_function(image).graph.get_operations()}
    dense = predict(image)[:, :: 2 // stride, :: 2 // stride]
    np.testing.assert_allclose(dense, stock(image), rtol=1e-4, atol=1e-5)


def test_the_benchmark_turns_the_pieces_off_for_one_side_alone():
    from bench.perf.depthwise import _undivided

    image, kernel = tensors((3, 5), 1, 8, 8)

    def widths() -> set[int]:
        made = tf.function(lambda image: with_gradients(image, kernel, "SAME", (1, 1), training=True))
        operations = made.get_concrete_function(image).graph.get_operations()
        return {op.outputs[0].shape[1] for op in operations if op.type == SLOW}

    with _undivided():
        assert widths() == {5}
    assert widths() == {3, 2}
