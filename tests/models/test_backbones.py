"""The table: complete, offline, readable without TensorFlow; every row compiles and trains in half precision."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from models import BACKBONES
from models.encoder.backbones import Backbone
from models.encoder.mix_transformer import TransformerBlock
from models.encoder.pyramid import STRIDES, ReverseChannels, build_backbone, feature_maps, for_any_size, scaled

SMALL = {"aspp_channels": 8, "decoder_channels": 8, "low_level_channels": 8}
# The families of KerasCV 0.9 that classify and have a map at each of the strides 4 to 32; YOLOv8 is made for detection.
KERAS_CV_CNNS = {
    "ResNet": 5, "ResNetV2": 5, "EfficientNetV1": 8, "EfficientNetV2": 7, "EfficientNetLite": 5, "MobileNetV3": 2,
    "DenseNet": 3, "CSPDarkNet": 5, "MiT": 6,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    keras.mixed_precision.set_global_policy("float32")


def test_the_table_is_read_without_tensorflow() -> None:
    code = "import sys, models.encoder.backbones; assert not {'tensorflow', 'keras', 'keras_cv'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


def test_every_family_of_keras_cv_is_there() -> None:
    constructors = [row.constructor for row in BACKBONES.values()]
    for family, count in KERAS_CV_CNNS.items():
        assert constructors.count(f"keras_cv.models.{family}Backbone") == count
    assert len(constructors) == sum(KERAS_CV_CNNS.values()) + 2  # VGG16 and Xception


def _presets(row: Backbone) -> dict:
    """KerasCV's own list of ImageNet weights for a class; reading it needs no network."""
    home = importlib.import_module("keras_cv.models")
    return getattr(home, row.constructor.rpartition(".")[2]).presets_with_weights


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.constructor.startswith("keras_cv.")])
def test_presets_are_those_of_keras_cv(name: str) -> None:
    row = BACKBONES[name]
    wanted = row.preset or f"{name.replace('mobilenetv3', 'mobilenet_v3')}_imagenet"
    assert (wanted in _presets(row)) == bool(row.preset)


@pytest.mark.parametrize(
    ("name", "pixel", "expected"),
    [
        ("resnet50", (255, 0, 51), (1, 0, 0.2)),
        ("efficientnetlite_b0", (127, 255, 0), (0, 1, -127 / 128)),
        ("xception", (0, 127.5, 255), (-1, 0, 1)),
        ("vgg16", (123.68, 116.779, 100.939), (-3, 0, 0)),  # blue first
    ],
)
def test_input_scaling_of_published_weights(name: str, pixel: tuple, expected: tuple) -> None:
    image = keras.Input((None, None, 3))
    model = keras.Model(image, scaled(image, BACKBONES[name]))
    np.testing.assert_allclose(np.asarray(model(np.array([[[pixel]]], "float32"))).ravel(), expected, atol=1e-4)


def test_scaling_in_words() -> None:
    assert BACKBONES["resnet50"].scaling == "x / 255"
    assert BACKBONES["efficientnetlite_b0"].scaling == "x / 128 -0.992188"
    assert BACKBONES["vgg16"].scaling == "x -123.68, -116.779, -103.939 as BGR"


def test_reversed_channels_survive_a_file() -> None:
    layer = ReverseChannels.from_config(ReverseChannels().get_config())
    np.testing.assert_array_equal(np.asarray(layer(np.array([[[[1.0, 2, 3]]]]))).ravel(), [3, 2, 1])


def test_the_mix_transformer_is_that_of_keras_cv() -> None:
    import keras_cv

    row = BACKBONES["mit_b0"]
    row = replace(row, arguments={**row.arguments, "depths": (1, 1, 1, 1)})
    arguments = {key: list(value) if isinstance(value, tuple) else value for key, value in row.arguments.items()}
    theirs = keras_cv.models.MiTBackbone(input_shape=(64, 64, 3), **arguments)
    ours = build_backbone(row)
    assert ours.count_params() == theirs.count_params()
    rng = np.random.default_rng(2)
    values = [rng.normal(0, 0.1, value.shape) for value in theirs.get_weights()]
    ours.set_weights(values)
    theirs.set_weights(values)
    image = rng.uniform(0, 1, (2, 64, 64, 3)).astype("float32")
    pyramid = keras.Model(theirs.input, [theirs.get_layer(n).output for n in theirs.pyramid_level_inputs.values()])
    for mine, other in zip(
        keras.Model(ours.input, feature_maps(ours, row, STRIDES))(image), pyramid(image), strict=True
    ):
        np.testing.assert_allclose(np.asarray(mine), np.asarray(other), rtol=0, atol=1e-4 * np.std(other))


@pytest.mark.parametrize(("reduction", "fixed_size"), [(2, True), (1, False)])
def test_the_mix_transformer_is_another_function_at_every_size(reduction: int, fixed_size: bool) -> None:
    """On a map that is the same everywhere attention has nothing to tell places apart by, whatever their number."""
    keras.utils.set_random_seed(0)
    block = TransformerBlock(channels=6, heads=2, reduction=reduction)
    pixel = np.random.default_rng(0).normal(size=6).astype("float32")
    small, large = (np.asarray(block(np.broadcast_to(pixel, (1, side, side, 6))))[0, 3, 3] for side in (8, 16))
    assert (np.abs(small - large).max() > 1e-3) == fixed_size
    if not fixed_size:
        np.testing.assert_allclose(small, large, atol=1e-5)
    assert all(row.fixed_size == (row.constructor == "keras_cv.models.MiTBackbone") for row in BACKBONES.values())


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("mit_b0", {"depths": (1, 1, 1, 1)}),
        ("csp_darknet_tiny", {"stackwise_channels": (8, 16, 24, 32), "stackwise_depth": (1, 1, 1, 1)}),
    ],
)
def test_backbones_of_whole_multiples_take_any_size(name: str, small: dict) -> None:
    row = replace(BACKBONES[name], arguments={**BACKBONES[name].arguments, **small})
    backbone = build_backbone(row)
    dense = models.with_output_stride(keras.Model(backbone.input, feature_maps(backbone, row, (4, 32))), 32)
    model = for_any_size(dense, row, (4, 32), "backbone")
    low_level, context = model(np.random.default_rng(0).uniform(0, 1, (1, 65, 97, 3)).astype("float32"))
    assert (tuple(low_level.shape[1:3]), tuple(context.shape[1:3])) == ((17, 25), (3, 4))


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"backbone": "resnet51"}, ["'resnet51'", "did you mean 'resnet50'"]),
        ({"backbone": "mit_b0"}, ["'mit_b0' supports output_stride 32 only", "received 16"]),
        ({"backbone": "vgg16", "architecture": "keras_cv", "output_stride": 32}, ["levels P2 to P5", "'vgg16'"]),
        (
            {"weights": "imagenet", "backbone": "xception"},
            ["'xception_imagenet' is downloaded only if it is named", "efficientnetlite_b0"],
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fields: dict, parts: list[str]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        models.ModelSpec(**fields)
    assert [part for part in parts if part not in str(error.value)] == []


def _built(name: str, **fields: object) -> keras.Model:
    keras.utils.set_random_seed(1)
    stride = 16 if 16 in BACKBONES[name].strides else 32
    return models.build(models.ModelSpec(backbone=name, output_stride=stride, **SMALL, **fields), 3)


IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 3, (2, 64, 96))


def _loss(logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_xla_computes_the_same(name: str) -> None:
    """With the statistics of the images, as after training: without, rounding grows over EfficientNetV2's layers."""
    model = _built(name, batch_norm_momentum=0.0)
    model(IMAGES, training=True)
    plain = np.asarray(model(IMAGES))
    kinds = [tf.TensorSpec((None, None, None, 3))]
    compiled = tf.function(model, jit_compile=True, input_signature=kinds, autograph=False)
    np.testing.assert_allclose(np.asarray(compiled(IMAGES)), plain, rtol=0, atol=2e-3 * plain.std())


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_half_precision_trains(name: str) -> None:
    keras.mixed_precision.set_global_policy("mixed_float16")
    symbolic = _built(name).output
    assert tf.as_dtype(symbolic.dtype) == tf.float32
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = _built(name)
    with tf.GradientTape() as tape:
        logits = model(IMAGES, training=True)
        loss = _loss(logits)
    assert logits.dtype == tf.float32
    gradients = tape.gradient(loss, model.trainable_variables)
    assert np.isfinite(float(loss))
    assert all(np.isfinite(np.asarray(gradient)).all() for gradient in gradients)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "efficientnetv2_b0", "csp_darknet_tiny", "mit_b0", "densenet121", "xception"]
)
def test_a_file_holds_the_whole_model(name: str, tmp_path) -> None:
    model = _built(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(np.asarray(model(IMAGES)), np.asarray(loaded(IMAGES)))
