"""Costs: by hand for a tiny model, beside TensorFlow's profiler for whole ones."""

from collections.abc import Iterator
from typing import Any

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2_as_graph

import models
from models import cost_of, forward_cost, model_cost
from models.encoder.backbones import Backbone
from models.layers.normalisation import BatchNormalization

SMALL = {"aspp_channels": 32, "decoder_channels": 32, "low_level_channels": 16}


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    keras.mixed_precision.set_global_policy("float32")


def _profiled(model: keras.Model, size: tuple[int, int]) -> int:
    """Operations by TensorFlow's own profiler, which counts neither normalisation nor ReLU nor resizing."""
    call = tf.function(lambda images: model(images, training=False), autograph=False)
    _, frozen = convert_variables_to_constants_v2_as_graph(call.get_concrete_function(tf.TensorSpec((1, *size, 3))))
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(frozen, name="")
        return profiler.profile(graph, options=options).total_float_ops


def test_a_tiny_model_by_hand() -> None:
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(image)
    x = keras.layers.ReLU()(BatchNormalization()(x))
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    found = cost_of(keras.Model(image, keras.layers.Conv2D(2, 1)(x)), (8, 8))
    # 3*3*3*4 = 108 of the first convolution, 4*4 of the normalisation, 3*3*4 = 36 depthwise, 4*2 + 2 = 10 of the last.
    assert found.parameters == 108 + 16 + 36 + 10
    # The maps are 4 x 4. Convolution 2*27*64 = 3456, normalisation 2*64 = 128, ReLU 64, depthwise 2*9*64 = 1152,
    # 1 x 1 convolution 2*4*32 = 256 and its bias 32.
    assert found.flops == 3456 + 128 + 64 + 1152 + 256 + 32
    # Kept, 4 bytes a number: the image 192, what is normalised 64 with mean and variance of the batch 2*4, the output
    # of ReLU 64, which is also the input of the depthwise convolution, the output of that 64, the logits 32. The
    # output of the normalisation is not kept: ReLU's derivative needs its own output only.
    assert found.activation_bytes == 4 * (192 + 64 + 8 + 64 + 64 + 32)


@pytest.mark.parametrize(
    "fields",
    [
        {"backbone": "resnet18", "output_stride": 32, "head": "subpixel", "separable": False},
        pytest.param({"backbone": "efficientnetlite_b0"}, marks=pytest.mark.slow),
        pytest.param({"backbone": "mobilenetv3_small", "output_stride": 32}, marks=pytest.mark.slow),
        pytest.param({"backbone": "resnet18", "output_stride": 32, "architecture": "keras_cv"}, marks=pytest.mark.slow),
        pytest.param({"backbone": "resnet50", "head": "subpixel"}, marks=pytest.mark.slow),
        pytest.param({"backbone": "efficientnetlite_b1", "output_stride": 8}, marks=pytest.mark.slow),
        pytest.param({"backbone": "resnet18", "output_stride": 8, "architecture": "deeplabv3"}, marks=pytest.mark.slow),
    ],
)
def test_flops_are_those_of_the_profiler(fields: dict[str, Any]) -> None:
    model = models.build(models.ModelSpec(**fields), 21)
    found, profiled = cost_of(model, (96, 128)).flops, _profiled(model, (96, 128))
    assert profiled < found < 1.02 * profiled


def test_a_dense_layer_is_a_matrix_product() -> None:
    image = keras.Input((None, None, 3))
    x = keras.layers.Dense(5, use_bias=False)(keras.layers.GlobalAveragePooling2D()(image))
    # The mean of 3 channels over 6 * 4 pixels is 72 operations, the product 2*3*5 = 30.
    assert cost_of(keras.Model(image, x), (6, 4)).flops == 72 + 30


class _Gram:
    """The products of the channels of an image with one another: X^T X."""

    weights = ()

    def __call__(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        pixels = tf.reshape(images, (1, -1, 3))
        return tf.matmul(pixels, pixels, transpose_a=True)


def test_a_product_with_a_transposed_matrix_sums_over_its_rows() -> None:
    assert forward_cost(_Gram(), (6, 4)) == (0, 2 * 24 * 3 * 3)


def test_cost_grows_with_the_area_and_with_a_smaller_stride() -> None:
    # Not separable: a dilated depthwise convolution works on a map that is padded to a multiple of its rate.
    spec = models.ModelSpec(backbone="resnet18", separable=False, **SMALL)
    small, large = model_cost(spec, 5, 256), model_cost(spec, 5, (512, 256))
    dense = model_cost(spec.model_copy(update={"output_stride": 32}), 5, 256)
    assert small.parameters == large.parameters == dense.parameters
    assert large.flops == pytest.approx(2 * small.flops, rel=0.01)
    assert large.activation_bytes == pytest.approx(2 * small.activation_bytes, rel=0.01)
    assert small.flops > 1.3 * dense.flops
    assert small.activation_bytes > 1.1 * dense.activation_bytes


def test_half_precision_halves_the_memory_and_not_the_operations(thin_resnet: Backbone) -> None:
    spec = models.ModelSpec(backbone="resnet18", **SMALL)
    single = model_cost(spec, 5, 96)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    half = model_cost(spec, 5, 96)
    assert half.flops == pytest.approx(single.flops, rel=0.01)
    # Logits stay float32.
    assert 0.5 < half.activation_bytes / single.activation_bytes < 0.6


def test_cost_needs_no_weights(tiny_backbone: Backbone) -> None:
    with_weights = models.ModelSpec(weights="absent.weights.h5", backbone="resnet18", **SMALL)
    assert model_cost(with_weights, 5, 64) == model_cost(models.ModelSpec(backbone="resnet18", **SMALL), 5, 64)


def test_a_size_has_to_be_positive() -> None:
    with pytest.raises(ValueError, match="size must be positive"):
        model_cost(models.ModelSpec(backbone="resnet18", **SMALL), 5, 0)
    for side in (1, 8):
        with pytest.raises(ValueError, match=f"{side} x 40 is too small for output_stride 16"):
            model_cost(models.ModelSpec(backbone="resnet18", **SMALL), 5, (side, 40))
