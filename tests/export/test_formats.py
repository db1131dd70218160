"""Exported files, run by their own runtimes at three sizes and compared with Keras."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from bench.export import FORMATS, Views, compared, formats, run_by_its_runtime
from tests.models.hub import REFERENCES

EDGES = [(64, 64), (48, 80), (45, 77)]  # even, multiples of 16, and odd
IMAGES = [np.random.default_rng(side).integers(0, 256, (1, side, other, 3), np.uint8) for side, other in EDGES]
NEEDED = {"savedmodel": (), "onnx": ("tf2onnx", "onnxruntime"), "litert": (), "tfx": ()}


def _needs(kind: str) -> None:
    lacking = [name for name in NEEDED[kind] if importlib.util.find_spec(name) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not installed (extra `export`)")


def _keras(model: Any, **views: Any) -> Callable[[np.ndarray], Any]:
    def run(images: np.ndarray) -> Any:
        found = models.scores(model, images, **views)
        return models.labels(found).numpy(), tf.nn.softmax(found).numpy()

    return run


def _agreement(kind: str, model: Any, path: Path, images: Any = IMAGES, side: int | None = None, **views: Any) -> Any:
    form = FORMATS[kind]
    formats.write(form, model, path / form.file, Views(**views), side)
    runtime = run_by_its_runtime(form, path / form.file)
    assert runtime is not None
    return compared(images, _keras(model, **views), runtime)


def _random(spec: models.ModelSpec, classes: int = 5) -> Any:
    """A model whose normalisations are no identities, as after training."""
    keras.utils.set_random_seed(1)
    model = models.build(spec, classes)
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            w + 0.2 * np.abs(rng.standard_normal(w.shape)).astype(w.dtype) if w.ndim == 1 else w
            for w in model.get_weights()
        ]
    )
    return model


@pytest.mark.parametrize("kind", ["onnx", "litert"])  # tests/models/test_export.py has the SavedModel
def test_a_dilated_model_runs_at_any_size_and_agrees(kind: str, thin_resnet: Any, tmp_path: Path) -> None:
    _needs(kind)
    spec = models.ModelSpec(backbone="resnet18", output_stride=8, aspp_channels=8, decoder_channels=8, separable=False)
    found = _agreement(kind, _random(spec), tmp_path)
    assert found.sizes == tuple(EDGES)
    assert found.wrong == 0, found
    assert 0 < found.difference < 1e-4, found  # at 0 the scores would be saturated
    assert found.good


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("kind", FORMATS)
def test_views_and_padding_to_multiples_agree(kind: str, name: str, thin_resnet: Any, tmp_path: Path) -> None:
    """Models of other libraries are padded to multiples of 32: sizes that are none need whole-number arithmetic."""
    _needs(kind)
    spec = models.ModelSpec(architecture=name, backbone="resnet18", output_stride=32)
    found = _agreement(kind, _random(spec), tmp_path, IMAGES[1:], scales=(0.75, 1.0), flip=True)
    print(kind, name, found)
    assert found.good, found


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_one_channel_is_a_probability_and_its_label(kind: str, tmp_path: Path) -> None:
    _needs(kind)
    keras.utils.set_random_seed(3)
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(keras.layers.Rescaling(1 / 64, -2.0)(image)))
    form = FORMATS[kind]
    formats.write(form, model, tmp_path / form.file, Views(), None)
    labels, probabilities = run_by_its_runtime(form, tmp_path / form.file)(IMAGES[2])  # type: ignore[misc]
    np.testing.assert_allclose(probabilities, models.probabilities(model, IMAGES[2]), atol=1e-5)
    np.testing.assert_array_equal(labels, probabilities[..., 0] > 0.5)
    assert labels.dtype == np.uint8


@pytest.mark.parametrize(("side", "sides"), [(48, [48, 48]), (None, [-1, -1])])
def test_a_file_says_which_size_it_takes(side: int | None, sides: list[int], tmp_path: Path) -> None:
    """LiteRT writes an unknown side as -1."""
    image = keras.Input((None, None, 3))
    form = FORMATS["litert"]
    formats.write(form, keras.Model(image, keras.layers.Conv2D(2, 1)(image)), tmp_path / form.file, Views(), side)
    (taken,) = tf.lite.Interpreter(str(tmp_path / form.file)).get_input_details()
    assert taken["shape_signature"].tolist()[1:] == [*sides, 3]


def test_what_agrees_by_hand() -> None:
    """Three classes, four pixels: one equal, one a tie, one wrong; the largest difference is 0.02."""
    expected = np.array([[[[0.6, 0.3, 0.1], [0.41, 0.39, 0.2], [0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]]])
    found = expected + np.array([[[[0, 0, 0], [-0.02, 0.02, 0], [0, 0, 0], [0, 0, 0]]]])
    one = (np.array([[[0, 0, 2, 0]]]), expected)
    other = (np.array([[[0, 1, 2, 1]]]), found)
    image = np.zeros((1, 1, 4, 3), np.uint8)
    agreement = compared([image], lambda images: one, lambda images: other)
    assert (agreement.pixels, agreement.ties, agreement.wrong) == (4, 1, 1)
    assert agreement.difference == pytest.approx(0.02)
    assert not agreement.good
    assert "1 of 4 labels differs, at ties; 1 wrong label (1 x 4 pixels)" in str(agreement)


FAMILIES = {
    "resnet18-16": {"backbone": "resnet18", "output_stride": 16},
    "resnet18-8": {"backbone": "resnet18", "output_stride": 8},
    "densenet121-16": {"backbone": "densenet121", "output_stride": 16},
    "densenet121-8": {"backbone": "densenet121", "output_stride": 8},
    "resnet50_v2-8": {"backbone": "resnet50_v2", "output_stride": 8},
    "efficientnetlite_b0-16": {"backbone": "efficientnetlite_b0", "output_stride": 16, "head": "subpixel"},
    "efficientnetv2_b0-16": {"backbone": "efficientnetv2_b0", "output_stride": 16},
    "mobilenetv3_small-16": {"backbone": "mobilenetv3_small", "output_stride": 16},
    "csp_darknet_tiny-16": {"backbone": "csp_darknet_tiny", "output_stride": 16},
    "efficientnetv1_b0-16": {"backbone": "efficientnetv1_b0", "output_stride": 16},
    "xception-16": {"backbone": "xception", "output_stride": 16},
    "vgg16-16": {"backbone": "vgg16", "output_stride": 16},
    "deeplabv3-16": {"backbone": "resnet18", "output_stride": 16, "architecture": "deeplabv3", "head": "subpixel"},
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_whole_models_agree(kind: str, family: str, tmp_path: Path) -> None:
    _needs(kind)
    spec = models.ModelSpec(aspp_channels=32, decoder_channels=32, **FAMILIES[family])  # type: ignore[arg-type]
    keras.utils.set_random_seed(1)
    found = _agreement(kind, models.build(spec, 5), tmp_path)
    print(kind, family, found)
    assert found.good, found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_a_mix_transformer_agrees_at_its_size(kind: str, tmp_path: Path) -> None:
    _needs(kind)
    keras.utils.set_random_seed(1)
    spec = models.ModelSpec(backbone="mit_b0", output_stride=32, aspp_channels=32, decoder_channels=32)
    found = _agreement(kind, models.build(spec, 5), tmp_path, IMAGES[:1], 64)
    print(kind, found)
    assert found.good, found
