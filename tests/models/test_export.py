"""A SavedModel, loaded by a process that has TensorFlow and nothing of this project."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import models
from models.encoder.backbones import Backbone
from models.inference.export import _reason, export, export_litert
from models.inference.predict import label_map, probabilities

SPEC = models.ModelSpec(backbone="resnet18", aspp_channels=8, decoder_channels=8, head="subpixel")
EXPORTS: dict[str, tuple[dict[str, Any], keras.layers.Layer | None]] = {
    "views": ({"scales": (0.5,), "flip": True}, None),
    "crf": ({}, models.DenseCRF(from_logits=False, iterations=2)),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 40, 56, 3), np.uint8)

LOAD = """
import sys

class Absent:  # this project may be installed; nothing of it, nor KerasCV, may be needed
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("models", "losses", "bench", "results", "reports", "keras_cv"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Absent())
import numpy as np
import tensorflow as tf
images = np.load("images.npy")
for name in sys.argv[1:]:
    serve = tf.saved_model.load(name).signatures["serving_default"]
    for size, part in (("whole", images), ("part", images[:1, :33, :41])):
        found = serve(images=tf.constant(part))
        np.savez(f"{name}-{size}.npz", **{key: value.numpy() for key, value in found.items()})
"""


@pytest.fixture(scope="module")
def model(thin_resnet: Backbone) -> keras.Model:
    keras.utils.set_random_seed(0)
    return models.build(SPEC, 3)


@pytest.fixture(scope="module")
def served(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fresh process gets of each export, by name."""
    home = tmp_path_factory.mktemp("export")
    for name, (views, crf) in EXPORTS.items():
        export(model, home / name, **views, crf=crf)
    np.save(home / "images.npy", IMAGES)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "KERAS_BACKEND")}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *EXPORTS],
        cwd=home, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return home


@pytest.mark.parametrize("name", EXPORTS)
def test_a_fresh_process_gets_the_same_labels_and_probabilities(model: keras.Model, served: Path, name: str) -> None:
    views, crf = EXPORTS[name]
    for size, part in (("whole", IMAGES), ("part", IMAGES[:1, :33, :41])):
        found, expected = np.load(served / f"{name}-{size}.npz"), probabilities(model, part, **views)
        expected = np.asarray(expected if crf is None else crf([part, expected]))
        assert sorted(found) == ["labels", "probabilities"]
        assert found["labels"].dtype == np.uint8
        assert found["probabilities"].dtype == np.float32
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-3)
        np.testing.assert_array_equal(found["labels"], found["probabilities"].argmax(-1))
        assert found["labels"].shape == part.shape[:3]


@pytest.mark.parametrize(("classes", "dtype"), [(1, "uint8"), (256, "uint8"), (257, "int32")])
def test_labels_have_the_smallest_type_that_holds_every_id(tmp_path: Path, classes: int, dtype: str) -> None:
    import tensorflow as tf

    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(classes, 1)(image / 255))
    export(model, tmp_path / "saved")
    found = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"](tf.constant(IMAGES))
    expected = probabilities(model, IMAGES)
    assert found["labels"].dtype == dtype
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    np.testing.assert_array_equal(found["labels"], label_map(expected))


@pytest.mark.parametrize(("side", "told"), [(None, -1), (16, 16)])
def test_a_file_takes_any_size_or_that_of_a_model_of_one_size(tmp_path: Path, side: int | None, told: int) -> None:
    import tensorflow as tf

    image = keras.Input((None, None, 3))
    export_litert(keras.Model(image, keras.layers.Conv2D(2, 1)(image)), tmp_path / "model.tflite", side=side)
    (given,) = tf.lite.Interpreter(str(tmp_path / "model.tflite")).get_input_details()
    assert given["shape_signature"].tolist() == [-1, told, told, 3]


def test_what_cannot_be_exported_is_refused(model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exists; name a folder that does not"):
        export(model, tmp_path)
    with pytest.raises(ValueError, match="from_logits=False"):
        export(model, tmp_path / "saved", crf=models.DenseCRF())
    with pytest.raises(ValueError, match="scales must be positive"):
        export(model, tmp_path / "saved", scales=())
    assert not (tmp_path / "saved").exists()


def test_of_a_converter_s_page_the_line_that_tells_the_reason_is_kept() -> None:
    assert _reason(ValueError("a page\n\n  loc: error: 'tf.X' is no builtin\nits conversion failed")) == (
        "loc: error: 'tf.X' is no builtin"
    )
    assert _reason(RuntimeError("a page\n its conversion failed\nmore")) == "its conversion failed"
    assert _reason(ValueError("\n only a page \nmore")) == "only a page"
    assert _reason(ValueError()) == "ValueError"
    assert _reason(ValueError("failed " * 99)) == ("failed " * 99)[:300]


def test_the_reference_architecture_is_exported_for_any_size(thin_resnet: Backbone, tmp_path: Path) -> None:
    import tensorflow as tf

    spec = models.ModelSpec(architecture="keras_cv", backbone="resnet18", output_stride=32)
    model = models.build(spec, 3)
    export(model, tmp_path / "saved")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    found = serve(tf.constant(IMAGES))["probabilities"]  # 40 x 56, no multiples of 32
    np.testing.assert_allclose(found, probabilities(model, IMAGES), atol=1e-3)
