"""Heads: the order of classification and upsampling, and the properties of subpixel convolution with ICNR."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from models.decoder.heads import ICNR, SubpixelUpsampling
from models.encoder.backbones import Backbone
from models.layers.blocks import ResizeLike

SHAPES = list(itertools.product((1, 2, 21), (2, 4, 8), (1, 3)))  # classes, factor, kernel size


def _started(classes: int, factor: int, kernel: int) -> tuple[SubpixelUpsampling, np.ndarray, np.ndarray]:
    keras.utils.set_random_seed(1)  # or a kernel of three weights may come out next to nothing
    layer = SubpixelUpsampling(classes, factor, kernel)
    image = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype("float32")
    return layer, image, np.asarray(layer(image))


@pytest.mark.parametrize(("classes", "factor", "kernel"), SHAPES)
def test_starts_as_convolution_and_nearest_neighbour(classes: int, factor: int, kernel: int) -> None:
    layer, image, found = _started(classes, factor, kernel)
    base = layer.get_weights()[0][..., :classes]
    low = tf.nn.conv2d(image, base, 1, "SAME").numpy()
    nearest = low.repeat(factor, axis=1).repeat(factor, axis=2)
    np.testing.assert_allclose(found, nearest, rtol=0, atol=1e-5)
    blocks = found.reshape(2, 5, factor, 4, factor, classes)
    assert blocks.std(axis=(2, 4)).max() < 1e-5
    assert found.std() > 0.1


def test_channel_order_is_sub_position_major() -> None:
    """Output (r*i + a, r*j + b) of class c reads channel (a*r + b)*C + c at (i, j)."""
    classes, factor = 3, 2
    layer, image, _ = _started(classes, factor, 1)
    kernel = np.random.default_rng(1).normal(size=layer.get_weights()[0].shape).astype("float32")
    bias = np.arange(classes * factor**2, dtype="float32")
    layer.set_weights([kernel, bias])
    low = np.einsum("bhwi,io->bhwo", image, kernel[0, 0]) + bias
    expected = np.empty((2, 10, 8, classes), "float32")
    for i, j, a, b, c in itertools.product(range(5), range(4), range(2), range(2), range(classes)):
        expected[:, factor * i + a, factor * j + b, c] = low[:, i, j, (a * factor + b) * classes + c]
    np.testing.assert_allclose(np.asarray(layer(image)), expected, atol=1e-5)


def test_fan_is_that_of_the_base_kernel() -> None:
    kernel = np.asarray(ICNR(8, keras.initializers.GlorotNormal(seed=1))((1, 1, 256, 64 * 21)))
    assert kernel.std() == pytest.approx(np.sqrt(2 / (256 + 21)), rel=0.05)  # 0.085; with a fan of 64 * 21: 0.035
    with pytest.raises(ValueError, match="divisible by 4"):
        ICNR(2)((1, 1, 3, 6))


def test_a_side_that_is_no_multiple_of_4_is_cut_off_and_not_resampled(thin_resnet: Backbone) -> None:
    """Feature j of the map at 1/4 stands for pixels 4j to 4j + 3, in an image of 65 pixels as in one of 68."""
    spec = models.ModelSpec(backbone="resnet18", head="subpixel", aspp_channels=8, decoder_channels=8)
    model = models.build(spec, 3, seed=0)
    image = np.random.default_rng(0).uniform(0, 255, (1, 65, 65, 3)).astype("float32")
    whole = keras.Model(model.input, [model.get_layer("classifier").output, model.output])
    beyond, found = (np.asarray(one) for one in whole(image, training=False))
    assert beyond.shape == (1, 68, 68, 3)
    np.testing.assert_array_equal(found, beyond[:, :65, :65])


@pytest.mark.parametrize("backbone", ["efficientnetlite_b0", "mobilenetv3_small", "vgg16", "xception"])
def test_logits_have_the_image_s_size_behind_backbones_that_pad_little(backbone: str) -> None:
    """Their map at 1/4 ends early at some sizes, Xception's at all: the last pixels are mirrored."""
    spec = models.ModelSpec(backbone=backbone, head="subpixel", aspp_channels=8, decoder_channels=8)
    model = models.build(spec, 2, seed=0)
    whole = keras.Model(model.input, [model.get_layer("classifier").output, model.output])
    short = 0
    for height, width in ((97, 64), (61, 107)):
        image = np.random.default_rng(0).uniform(0, 255, (1, height, width, 3)).astype("float32")
        before, found = (np.asarray(one) for one in whole(image, training=False))
        assert found.shape == (1, height, width, 2)
        lacking = [max(0, height - before.shape[1]), max(0, width - before.shape[2])]
        mirrored = np.pad(before, [(0, 0), (0, lacking[0]), (0, lacking[1]), (0, 0)], "symmetric")
        np.testing.assert_array_equal(found, mirrored[:, :height, :width])
        short += any(lacking)
    assert short


def test_sub_kernels_part_after_one_step() -> None:
    layer, image, found = _started(2, 2, 1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(image) * np.random.default_rng(2).normal(size=found.shape))
    gradients = tape.gradient(loss, layer.trainable_variables)
    stepped = layer.get_weights()[0] - 0.1 * np.asarray(gradients[0])
    assert np.abs(stepped[..., :2] - stepped[..., 2:4]).max() > 1e-3


def test_blur_is_the_mean_of_two_by_two() -> None:
    """Row 1 2 | 5 6 over 3 4 | 7 8, its edge repeated above and to the left: 1, (1+2)/2, ... (1+2+3+4)/4."""
    layer = SubpixelUpsampling(1, 2, blur=True)
    image = np.array([[[[1, 2, 3, 4], [5, 6, 7, 8]]]], "float32")  # one row of two pixels, a 2x2 block each
    layer(image)
    layer.set_weights([np.eye(4, dtype="float32")[None, None], np.zeros(4, "float32")])
    expected = [[1, 1.5, 3.5, 5.5], [2, 2.5, 4.5, 6.5]]
    np.testing.assert_allclose(np.asarray(layer(image))[0, ..., 0], expected)
    assert SubpixelUpsampling.from_config(layer.get_config()).blur


def test_blur_keeps_constants() -> None:
    layer = SubpixelUpsampling(3, 4, blur=True)
    flat = np.asarray(layer(np.ones((1, 5, 4, 2), "float32")))
    assert flat.shape == (1, 20, 16, 3)
    np.testing.assert_allclose(flat, np.broadcast_to(flat[:, :1, :1], flat.shape), rtol=1e-5)


def test_config_round_trip_keeps_filters_and_shape() -> None:
    layer = SubpixelUpsampling.from_config(SubpixelUpsampling(21, 4, 3).get_config())
    assert tuple(layer(np.zeros((1, 2, 3, 5), "float32")).shape) == (1, 8, 12, 21)
    assert tuple(layer.compute_output_shape((None, None, 3, 5))) == (None, None, 12, 21)


def test_dynamic_sizes() -> None:
    layer, image, found = _started(2, 4, 1)
    dynamic = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3))])(image)
    np.testing.assert_allclose(dynamic, found, atol=1e-6)


def test_classify_then_resize_equals_resize_then_classify() -> None:
    rng = np.random.default_rng(3)
    features, like = rng.normal(size=(2, 9, 7, 5)).astype("float32"), np.zeros((2, 33, 26, 3), "float32")
    classify, resize = keras.layers.Conv2D(4, 1, bias_initializer="random_normal"), ResizeLike()
    first = np.asarray(resize([classify(features), like]))
    last = np.asarray(classify(resize([features, like])))
    assert first.shape == (2, 33, 26, 4)
    np.testing.assert_allclose(first, last, atol=1e-5)


BRANCHING = """
import keras
import tensorflow as tf


class Head(keras.layers.Conv2D):
    def __init__(self, classes):
        super().__init__(classes, 1)

    def call(self, features):
        logits = super().call(features)
        if tf.reduce_max(logits) > 0:
            logits = logits + 1.0
        return logits
"""


@pytest.mark.skipif(not keras.__version__.startswith("2"), reason="layers of Keras 3 may not branch on values")
def test_a_head_of_ones_own_may_branch_on_values(tmp_path, monkeypatch, tiny_backbone) -> None:
    """Keras 2 has AutoGraph rewrite it, which our own layers are spared."""
    (tmp_path / "branching.py").write_text(BRANCHING)
    monkeypatch.syspath_prepend(tmp_path)
    spec = models.ModelSpec(backbone="resnet18", head="branching:Head", aspp_channels=8, decoder_channels=8)
    assert models.build(spec, 3)(np.zeros((1, 64, 64, 3), "float32")).shape == (1, 64, 64, 3)


def test_public_names() -> None:
    assert models.ICNR is ICNR
    assert models.SubpixelUpsampling is SubpixelUpsampling
    with pytest.raises(AttributeError):
        _ = models.Subpixel
