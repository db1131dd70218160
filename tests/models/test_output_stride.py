"""Atrous consistency: the dense map, subsampled, is the original map (the test that deeplab2 uses for its encoders)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import models
from models import BACKBONES
from models.encoder.backbones import Backbone
from models.encoder.output_stride import primitives
from models.encoder.pyramid import STRIDES, build_backbone, feature_maps
from models.layers.normalisation import BatchNormalization

TOLERANCE = 1e-11  # of the map's deviation; in double precision thin backbones are off by 4e-15 at most
# Few and narrow layers: what is tested is the rewriting of each kind of layer, here at stride 8, where all are dilated.
_THIN = {"width_coefficient": 0.25, "depth_coefficient": 0.2}
_MOBILENET = {
    key: value[:9] for key, value in BACKBONES["mobilenetv3_small"].arguments.items() if isinstance(value, tuple)
}
FAMILIES: dict[str, Mapping[str, Any]] = {
    "resnet18": {"stackwise_filters": (64, 8, 16, 16), "stackwise_blocks": (1, 1, 1, 2)},
    "resnet50": {"stackwise_filters": (8, 8, 8, 16), "stackwise_blocks": (2, 2, 2, 2)},
    "resnet50_v2": {"stackwise_filters": (8, 8, 8, 16), "stackwise_blocks": (2, 2, 2, 2)},
    "efficientnetlite_b0": {"depth_coefficient": 0.2},
    "efficientnetv1_b0": _THIN,
    "efficientnetv2_s": _THIN,
    "mobilenetv3_small": {**_MOBILENET, "alpha": 0.25},
    "densenet121": {"stackwise_num_repeats": (1, 1, 1, 1), "growth_rate": 8},
    "csp_darknet_s": {"stackwise_channels": (8, 16, 24, 32), "stackwise_depth": (1, 1, 1, 1)},
}


def _levels(row: Backbone) -> keras.Model:
    keras.utils.set_random_seed(1)
    backbone = build_backbone(row)
    return keras.Model(backbone.input, feature_maps(backbone, row, STRIDES))


def _image(row: Backbone) -> np.ndarray:
    # Height 104: even sizes, at which 'same' padding is lopsided, down to 13 at stride 8. Width 97 is 32 * 3 + 1.
    height, width = (-(-size // row.multiple) * row.multiple for size in (104, 97))
    return np.random.default_rng(0).uniform(-1, 1, (1, height, width, 3)).astype(keras.backend.floatx())


def _assert_consistent(row: Backbone, strides: Iterable[int]) -> None:
    model, image = _levels(row), _image(row)
    originals = [np.asarray(level) for level in model(image)]
    for output_stride in strides:
        dense = models.with_output_stride(model, output_stride)(image)
        for stride, original, level in zip(STRIDES, originals, dense, strict=True):
            factor = max(1, stride // output_stride)
            subsampled = np.asarray(level)[:, ::factor, ::factor]
            assert subsampled.shape == original.shape
            np.testing.assert_allclose(subsampled, original, rtol=0, atol=TOLERANCE * original.std())
            size = min(output_stride, stride)
            missing = [-(-side // size) - found for side, found in zip(image.shape[1:3], level.shape[1:3], strict=True)]
            assert max(missing) <= 2 * factor  # a map ends early where the original's last row saw no more of the image


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", FAMILIES)
def test_dense_map_holds_the_original(name: str) -> None:
    row = BACKBONES[name]
    _assert_consistent(replace(row, arguments={**row.arguments, **FAMILIES[name]}), [8])


@pytest.mark.slow
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", BACKBONES)
def test_dense_map_holds_the_original_of_every_backbone(name: str) -> None:
    row = BACKBONES[name]
    assert build_backbone(row).count_params() == row.parameters
    _assert_consistent(row, row.strides)


@pytest.mark.slow
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", ["resnet18", "resnet50_v2", "efficientnetlite_b0", "densenet121", "mobilenetv3_large"])
@pytest.mark.parametrize("size", [224, 225, 512, 513])
def test_even_sizes_are_as_exact_as_those_of_32k_and_1(name: str, size: int) -> None:
    model = _levels(BACKBONES[name])
    image = np.random.default_rng(0).uniform(-1, 1, (1, size, size, 3))
    original = np.asarray(model(image)[-1])
    dense = np.asarray(models.with_output_stride(model, 8)(image)[-1])[:, ::4, ::4]
    np.testing.assert_allclose(dense, original, rtol=0, atol=TOLERANCE * original.std())


def _thin(name: str) -> keras.Model:
    return _levels(replace(BACKBONES[name], arguments={**BACKBONES[name].arguments, **FAMILIES[name]}))


@pytest.mark.parametrize("name", ["csp_darknet_s", "mobilenetv3_small", "efficientnetv1_b0"])
def test_a_file_holds_the_dense_model(name: str, tmp_path: Path) -> None:
    """Operators and KerasCV's own layers among them, which Keras alone could not write or read back."""
    dense = models.with_output_stride(_thin(name), 8)
    dense.save(tmp_path / "dense.keras")
    loaded = keras.models.load_model(tmp_path / "dense.keras", compile=False)
    image = _image(BACKBONES[name])
    for level, same in zip(dense(image), loaded(image), strict=True):
        np.testing.assert_array_equal(np.asarray(level), np.asarray(same))


def test_stride_without_dilation_would_differ() -> None:
    """The test above can fail: dropping the stride alone gives other features."""
    model = _thin("resnet18")
    image = _image(BACKBONES["resnet18"])

    def undilated(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        config["dilation_rate"] = (1, 1) if "dilation_rate" in config else None
        return type(layer).from_config({key: value for key, value in config.items() if value is not None})

    dense = models.with_output_stride(model, 16)
    wrong = keras.models.clone_model(dense, clone_function=undilated)
    wrong.set_weights(dense.get_weights())
    original, right, bad = (np.asarray(m(image)[-1]) for m in (model, dense, wrong))
    np.testing.assert_allclose(right[:, ::2, ::2], original, rtol=0, atol=1e-4 * original.std())
    assert np.abs(bad[:, ::2, ::2] - original).max() > 0.1 * original.std()


def test_a_dense_model_can_be_made_denser() -> None:
    model = _thin("efficientnetlite_b0")
    image = _image(BACKBONES["efficientnetlite_b0"])
    at_once = models.with_output_stride(model, 8)(image)[-1]
    in_steps = models.with_output_stride(models.with_output_stride(model, 16), 8)(image)[-1]
    np.testing.assert_allclose(np.asarray(in_steps), np.asarray(at_once), rtol=0, atol=1e-5)


def test_the_pass_reaches_normalisation_inside_blocks() -> None:
    model = models.with_output_stride(_thin("efficientnetv2_s"), 16, batch_norm_momentum=0.75, sync_batch_norm=True)
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(found) > 12
    assert all(type(layer) is BatchNormalization and layer.momentum == 0.75 and layer.synchronized for layer in found)
    assert [layer for layer in primitives(model) if layer.weights] == [layer for layer in model.layers if layer.weights]


def test_normalisation_keeps_what_the_model_has_unless_told() -> None:
    image = keras.Input((32, 32, 3))
    layer = keras.layers.BatchNormalization(momentum=0.6, synchronized=True)
    once = models.with_output_stride(keras.Model(image, layer(image)), 16)
    twice = models.with_output_stride(once, 16, batch_norm_momentum=0.9, sync_batch_norm=False)
    for model, expected in ((once, (0.6, True)), (twice, (0.9, False))):
        assert (model.layers[-1].momentum, model.layers[-1].synchronized) == expected


def test_impossible_strides_are_refused() -> None:
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.SeparableConv2D(4, 3, strides=2, name="halve")(image))
    with pytest.raises(ValueError, match=r"'halve'.*no dilated counterpart"):
        models.with_output_stride(model, 1)
    with pytest.raises(ValueError, match="12 is not a power of two"):
        models.with_output_stride(model, 12)
    padded = keras.layers.ZeroPadding2D(1, name="frame")(image)
    model = keras.Model(image, keras.layers.MaxPooling2D(3, 2, name="pool")(padded))
    with pytest.raises(ValueError, match=r"'pool' behind the padding 'frame'"):
        models.with_output_stride(model, 1)
