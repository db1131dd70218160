"""The fast atrous convolutions against a literal sum over taps, and against the Keras layers they replace."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from models import BACKBONES
from models.compat import depthwise_kernel
from models.layers import atrous
from models.layers.atrous import AtrousPooling2D, Border

CASES = [  # height, width, rate, kernel
    (8, 11, 6, 3),  # some taps land outside
    (5, 20, 7, 3),  # a whole direction does
    (5, 5, 18, 3),  # only the centre is left
    (9, 9, 2, 5),  # outer taps leave first
    (3, 3, 1, 3),
]


def _taps(image: tf.Tensor, kernel: tf.Tensor, rate: int, depthwise: bool) -> tf.Tensor:
    """The definition: for every tap, the zero-padded map shifted by its offset, times its weights."""
    height, width = image.shape[1:3]
    reach = rate * (kernel.shape[0] // 2)
    padded = tf.pad(image, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
    total = 0.0
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            shifted = padded[:, row * rate : row * rate + height, column * rate : column * rate + width]
            weights = kernel[row, column]
            total += shifted * weights[:, 0] if depthwise else tf.einsum("bhwi,io->bhwo", shifted, weights)
    return total


def _value_and_gradients(function: Callable, image: tf.Tensor, kernel: Any) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        tape.watch([image, kernel])
        value = function(image)
        loss = tf.reduce_sum(tf.sin(value))
    return [value.numpy(), *(gradient.numpy() for gradient in tape.gradient(loss, [image, kernel]))]


def _close(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("depthwise", [False, True], ids=["full", "depthwise"])
@pytest.mark.parametrize(("height", "width", "rate", "size"), CASES)
def test_equals_the_sum_over_taps_and_the_keras_layer(
    height: int, width: int, rate: int, size: int, depthwise: bool, compiled: bool
) -> None:
    image = tf.random.stateless_normal((2, height, width, 6), (1, 2))
    kind = "DepthwiseConv2D" if depthwise else "Conv2D"
    arguments = {"kernel_size": size, "padding": "same", "dilation_rate": rate, "use_bias": False}
    if not depthwise:
        arguments["filters"] = 4
    ours, theirs = getattr(models, f"Atrous{kind}")(**arguments), getattr(keras.layers, kind)(**arguments)
    ours.build(image.shape)
    theirs.build(image.shape)
    theirs.set_weights(ours.get_weights())
    found = {}
    for name, layer in (("ours", ours), ("keras", theirs)):
        variable = depthwise_kernel(layer) if depthwise else layer.kernel
        variable = getattr(variable, "value", variable) if keras.__version__ >= "3" else variable
        call = tf.function(layer) if compiled else layer
        found[name] = _value_and_gradients(call, image, variable)
    kernel = tf.constant(ours.get_weights()[0])
    with tf.GradientTape() as tape:
        tape.watch([image, kernel])
        value = _taps(image, kernel, rate, depthwise)
        loss = tf.reduce_sum(tf.sin(value))
    expected = [value.numpy(), *(gradient.numpy() for gradient in tape.gradient(loss, [image, kernel]))]
    _close(found["ours"], expected)
    _close(found["ours"], found["keras"])


def test_dynamic_sizes_give_the_same_values() -> None:
    layer = models.AtrousConv2D(3, 3, padding="same", dilation_rate=6)
    image = tf.random.stateless_normal((1, 7, 9, 2), (1, 2))
    static = layer(image)
    dynamic = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 2))])(image)
    np.testing.assert_allclose(static, dynamic, atol=1e-6)


def test_bias_and_activation_stay() -> None:
    layer = models.AtrousConv2D(1, 3, padding="same", dilation_rate=2, activation="relu", kernel_initializer="zeros")
    layer.build((1, 4, 4, 1))
    for bias, expected in ((2.0, 2.0), (-2.0, 0.0)):
        layer.set_weights([layer.get_weights()[0], np.array([bias], "float32")])
        assert np.all(np.asarray(layer(tf.ones((1, 4, 4, 1)))) == expected)


# --- dense counterparts of strided layers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "taps", "rate", "stride", "padding", "border"),
    [
        (9, 3, 1, 2, "same", (1, 1, 9)),  # odd: one place either side
        (8, 3, 1, 2, "same", (0, 2, 8)),  # even: TensorFlow pads behind only
        (8, 1, 1, 2, "valid", (0, 0, 8)),
        (9, 2, 1, 2, "valid", (0, 1, 8)),  # four windows of two: the ninth place has no window, so the map ends
        (18, 2, 2, 2, "valid", (0, 2, 16)),  # the same map, twice as dense
        (57, 3, 1, 2, (0, 1), (0, 2, 56)),  # EfficientNet's own padding
        (10, 3, 2, 1, "same", (2, 2, 10)),
    ],
)
def test_borders_by_hand(size: int, taps: int, rate: int, stride: int, padding: Any, border: tuple) -> None:
    found = Border.of(size, taps, rate, stride, padding)
    assert found[:3] == border
    assert found.reach == found.before + found.after
    assert tuple(int(side) for side in Border.of(tf.constant(size), taps, rate, stride, padding)) == found


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(
    ("taps", "stride", "padding"), [(2, 2, "valid"), (3, 2, "same"), (5, 1, "same"), (13, 1, "same")]
)
@pytest.mark.parametrize("size", [(12, 13), (14, 9)])
def test_dense_pooling_holds_the_pooled_map(kind: str, taps: int, stride: int, padding: str, size: tuple) -> None:
    """Interleaving a map with noise makes it denser; the dense layer has to see through the noise."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, *size, 3)).astype("float32")
    dense = rng.normal(size=(2, 2 * size[0], 2 * size[1], 3)).astype("float32")
    dense[:, ::2, ::2] = values
    pool = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}[kind]
    original = np.asarray(pool(taps, stride, padding)(values))
    layer = AtrousPooling2D(kind, (taps, taps), 2, stride, padding)
    found = np.asarray(layer(dense))
    assert layer.compute_output_shape(dense.shape) == found.shape
    np.testing.assert_allclose(found[:, :: 2 * stride, :: 2 * stride], original, atol=1e-5)
    dynamic = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_allclose(np.asarray(dynamic(dense)), found, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_has_a_gradient_on_any_processor(policy: str) -> None:
    """Without AVX-512 a CPU refuses that of a dilated convolution in half precision, and has it in single."""
    rng = np.random.default_rng(2)
    image = tf.constant(rng.normal(size=(1, 9, 9, 3)), tf.float32)
    kernel, found = rng.normal(size=(3, 3, 3, 4)), []
    for dtype in (policy, "float32"):
        layer = models.AtrousConv2D(4, 3, padding="same", dilation_rate=2, dtype=dtype)
        layer.build((None, 9, 9, 3))
        layer.kernel.assign(kernel)
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.square(tf.cast(layer(image), tf.float32)))
        found.append(np.asarray(tape.gradient(value, layer.trainable_variables[0])))
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=0.02 * np.abs(found[1]).max())


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("height", "width", "rate", "size"), CASES[:3])
def test_where_dilated_convolutions_have_no_gradient_none_is_asked_for(
    height: int, width: int, rate: int, size: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value and the gradients stay. `test_every_family_trains_without_onednn` runs on such a TensorFlow."""
    image = tf.random.stateless_normal((2, height, width, 6), (1, 2))
    layer = models.AtrousConv2D(4, size, padding="same", dilation_rate=rate, use_bias=False, dtype=dtype)
    layer.build(image.shape)
    kernel = getattr(layer.kernel, "value", layer.kernel) if keras.__version__ >= "3" else layer.kernel

    def call(values: tf.Tensor) -> tf.Tensor:
        return tf.cast(layer(values), tf.float32)

    direct = _value_and_gradients(call, image, kernel)
    monkeypatch.setattr(atrous, "_differentiates", lambda dtype: False)
    rearranged = _value_and_gradients(call, image, kernel)
    for one, other in zip(rearranged, direct, strict=True):
        tolerance = 1e-5 if dtype == "float32" else 2e-2
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1, np.abs(other).max()))
    graph = tf.function(call).get_concrete_function(image).graph
    dilations = [list(op.get_attr("dilations")) for op in graph.get_operations() if op.type == "Conv2D"]
    assert dilations == [[1, 1, 1, 1]]


@pytest.mark.slow
def test_every_family_trains_without_onednn() -> None:
    """As in a user's own loop on a processor without AVX-512, where TensorFlow turns oneDNN off."""
    worker = Path(__file__).with_name("onednn_off_worker.py")
    environment = os.environ | {
        "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(worker.parents[2])
    }  # fmt: skip
    done = subprocess.run([sys.executable, worker], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith(tuple(BACKBONES))]  # KerasCV prints, too
    assert len(lines) >= 20
    assert all(line.endswith(" True") for line in lines), lines
