"""Models of KerasCV and KerasHub as rows of comparisons: those of their libraries, for images of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from bench.core import KERAS_3, UsageError
from bench.spec import check_architecture
from models.encoder.backbones import Backbone
from models.encoder.pyramid import STRIDES, build_backbone, feature_maps
from tests.models.hub import REFERENCES, WITH_HUB, WITHOUT_HUB

IMAGE = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")


@pytest.fixture(scope="module", autouse=True)
def _thin(thin_resnet: Backbone) -> None:
    """Building and tracing take the time here, so the ResNet is thin."""


def _build(name: str, **fields: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    spec = models.ModelSpec(architecture=name, backbone="resnet18", output_stride=32, **fields)
    return models.build(spec, 5, seed=1)


@pytest.fixture(scope="module", params=REFERENCES)
def model(request: pytest.FixtureRequest) -> keras.Model:
    """A model whose normalisation has seen other values than it started with. No test changes it."""
    built = _build(request.param)
    built(IMAGE, training=True)
    return built


@pytest.fixture(scope="module")
def of_any_size(model: keras.Model) -> Callable:
    return tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))], autograph=False)


@pytest.fixture
def _half_precision() -> Iterator[None]:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_global_policy("float32")


def test_a_model_gives_logits(model: keras.Model) -> None:
    logits = np.asarray(model(IMAGE, training=False))
    assert logits.shape == (2, 64, 96, 5)
    assert np.abs(logits.sum(-1) - 1).max() > 1e-3  # a softmax would sum to one


def test_a_model_is_called_as_it_predicts(model: keras.Model) -> None:
    """See findings/keras3-resizing-trains-what-follows.sh: stock models are not, and change when they are called."""
    before = [weight.numpy() for weight in model.weights]
    expected = model.predict(IMAGE, verbose=0)
    np.testing.assert_allclose(np.asarray(model(IMAGE)), expected, atol=1e-3 * expected.std())
    assert all(np.array_equal(weight.numpy(), old) for weight, old in zip(model.weights, before, strict=True))


@pytest.mark.parametrize(("height", "width"), [(33, 50), (64, 40), (64, 96)])
def test_a_model_sees_other_sizes_within_their_mean_colour(
    model: keras.Model, of_any_size: Callable, height: int, width: int
) -> None:
    image = IMAGE[:, :height, :width]
    padded = np.zeros((2, 64, -(-width // 32) * 32, 3), "float32") + image.mean((1, 2), keepdims=True)
    padded[:, :height, :width] = image
    expected = np.asarray(model(padded))[:, :height, :width]
    for call in (model, of_any_size):
        np.testing.assert_allclose(np.asarray(call(image)), expected, atol=1e-3 * expected.std())


@pytest.mark.parametrize("name", REFERENCES)
def test_a_model_forgets_as_fast_as_ours(name: str) -> None:
    model = _build(name, batch_norm_momentum=0.75)
    found = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    # 12 in the backbone; 6 in the pyramid, 1 behind the low level and 1 in the head, or 1 in the head of SegFormer.
    assert len(found) == (13 if name == "keras_hub_segformer" else 20)
    assert {layer.momentum for layer in found} == {0.75}
    before = [layer.get_weights()[2] for layer in found]
    model(IMAGE, training=True)
    assert all(np.any(layer.get_weights()[2] != old) for layer, old in zip(found, before, strict=True))


@pytest.mark.usefixtures("_half_precision")
@pytest.mark.parametrize("name", REFERENCES)
def test_logits_are_float32_under_half_precision(name: str) -> None:
    logits = _build(name)(IMAGE, training=False)
    assert logits.dtype == tf.float32
    rounded = tf.cast(tf.cast(logits, tf.bfloat16), tf.float32)
    assert np.any(np.asarray(logits) != np.asarray(rounded)), "they have digits that half precision has not"


@pytest.mark.parametrize("name", REFERENCES)
def test_a_file_holds_a_model(name: str, tmp_path: Path) -> None:
    model = _build(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(*(np.asarray(one(IMAGE, training=False)) for one in (loaded, model)), atol=1e-5)


@WITH_HUB
@pytest.mark.parametrize("name", ["deeplab", "segformer"])
def test_a_model_of_keras_hub_computes_what_the_stock_one_does(name: str) -> None:
    from models import reference_hub as hub

    keras.utils.set_random_seed(3)
    row = models.BACKBONES["resnet18"]
    backbone = build_backbone(row)
    levels = keras.Model(backbone.input, feature_maps(backbone, row, STRIDES))
    stock = hub.deeplab(levels, 5, 8) if name == "deeplab" else hub.segformer(levels, 5)
    image = keras.Input((None, None, 3))
    ours = keras.Model(image, hub.of_any_size(stock, levels, image))
    of_theirs = [*stock._flatten_layers()]
    for layer in ours._flatten_layers():  # the others are shared
        if isinstance(layer, (hub.PyramidPooling, keras.layers.Conv2D)) and layer not in of_theirs:
            named = [one for one in of_theirs if one.name == layer.name and type(one).__name__ != "Sequential"]
            if named:
                named[0].set_weights(layer.get_weights())
    square = IMAGE[:, :, :64] / 255
    expected = stock.predict(square, verbose=0)
    assert expected.std() > 0
    np.testing.assert_allclose(ours.predict(square, verbose=0), expected, atol=1e-5 * np.abs(expected).max())


@WITH_HUB
def test_the_backbone_of_a_model_of_keras_hub_can_be_frozen() -> None:
    model = _build("keras_hub_segformer")
    backbone = model.get_layer(models.BACKBONE)
    assert {id(weight) for weight in backbone.weights} < {id(weight) for weight in model.weights}
    backbone.trainable = False
    assert len(model.trainable_variables) == 2 * 4 + 1 + 2 + 2  # four projections, fusion and its norm, classifier


@WITHOUT_HUB
def test_a_model_of_keras_hub_is_refused_where_it_is_not_installed() -> None:
    check_architecture(models.ModelSpec(architecture="keras_cv", output_stride=32))
    wanted = r"model.architecture 'keras_hub' comes from KerasHub: pip install 'segmentation-bench\[kerashub\]'"
    with pytest.raises(UsageError, match=wanted if KERAS_3 else rf"{wanted}; it needs Keras 3, and this is 2\."):
        check_architecture(models.ModelSpec(architecture="keras_hub", output_stride=32))
