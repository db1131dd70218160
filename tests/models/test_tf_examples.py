"""What TensorFlow Extended feeds: Examples with encoded pictures, to label maps that equal `bench.predict`."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bench.data import prepared, squared
from bench.prediction import segmenter
from bench.spec import TrialSpec
from models import export
from models.inference import as_pillow

RNG = np.random.default_rng(0)


def _picture(height: int, width: int) -> Image.Image:
    """Coarse shapes with fine noise: what a resize, a transform or a colour conversion gets wrong shows somewhere."""
    coarse = Image.fromarray(RNG.integers(0, 256, (5, 6, 3), np.uint8)).resize((width, height))
    noise = RNG.integers(-20, 21, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse).astype(int) + noise, 0, 255).astype(np.uint8))


def _bytes(picture: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


@pytest.fixture(scope="module")
def resize() -> Callable[..., Any]:
    """`as_pillow.resized`, traced once for all sizes."""
    kinds = [tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((2,), tf.int32)]
    return tf.function(as_pillow.resized, input_signature=kinds, autograph=False)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((75, 100), (48, 64)),  # smaller, by 1.5625
        ((97, 61), (64, 40)),  # odd, both factors other than the plain quotient
        ((40, 64), (50, 80)),  # larger
        ((64, 64), (64, 64)),  # as it is
        ((64, 50), (64, 49)),  # one axis only
        ((301, 7), (11, 1)),  # by 27, to a single column; tall: Pillow 13 has another order of the axes
        ((90, 40), (64, 28)),
        ((50, 81), (33, 89)),  # smaller and larger
        ((1, 1), (3, 5)),
    ],
)
def test_a_picture_is_resized_as_pillow_does_it(
    resize: Callable[..., Any], source: tuple[int, int], target: tuple[int, int]
) -> None:
    picture = _picture(*source)
    expected = np.asarray(picture.resize(target[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(np.asarray(picture), target), expected)


def test_by_hand() -> None:
    """A row of 0, 100, 200 to two: the triangle is 1.5 wide to each side of 0.75 and of 2.25.

    The first two lie 0.25 and 0.75 away from 0.75: weights 5/6 and 1/2, in sum 4/3, so 100 * 3/8 = 37.5, which is
    rounded up. At the other end it is 100 * 3/8 + 200 * 5/8 = 162.5.
    """
    row = np.repeat(np.array([[[0], [100], [200]]], np.uint8), 3, axis=2)
    assert as_pillow.resized(tf.constant(row), tf.constant([1, 2])).numpy()[0, :, 0].tolist() == [38, 163]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("jpeg", {"quality": 75}),  # colours at half the size
        ("jpeg", {"quality": 95, "subsampling": 0}),
        ("jpeg", {"quality": 80, "progressive": True}),
        ("png", {}),
        ("bmp", {}),
    ],
)
def test_a_picture_is_decoded_and_fitted_as_in_a_trial(kind: str, options: dict[str, Any]) -> None:
    data = _bytes(_picture(75, 101), kind, **options)
    image = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(as_pillow.decoded(tf.constant(data)), image)
    for size in (64, 101, 120):
        data_spec = TrialSpec.model_validate({"data": {"size": size, "crop": 64}}).data
        small = prepared(image, data_spec)
        np.testing.assert_array_equal(as_pillow.fitted(tf.constant(image), size), small)
        np.testing.assert_array_equal(as_pillow.squared(tf.constant(small), 130), squared(small, 130))


def test_what_tensorflow_would_do_by_itself_is_something_else() -> None:
    """Or the file beside this one would not be needed."""
    data = _bytes(_picture(75, 101), "jpeg")
    image = np.asarray(Image.open(io.BytesIO(data)))
    assert (tf.io.decode_image(data).numpy() != image).mean() > 0.05
    small = tf.cast(tf.round(tf.image.resize(image, (48, 64), antialias=True)), tf.uint8).numpy()
    assert (small != np.asarray(Image.fromarray(image).resize((64, 48), Image.Resampling.BILINEAR))).any()


@pytest.fixture(scope="module")
def model() -> Any:
    """Three classes whose borders follow the picture."""
    keras.utils.set_random_seed(2)
    image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 64, -2.0)(image)
    return keras.Model(image, keras.layers.Conv2D(3, 5, padding="same")(scaled))


def _example(data: bytes, key: bytes = b"") -> bytes:
    values = {"image/encoded": data, **({"image/filename": key} if key else {})}
    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.mark.parametrize("views", [{}, {"scales": (0.75, 1.0), "flip": True}])
def test_label_maps_are_those_of_predict_at_each_picture_s_own_size(
    model: Any, tmp_path: Path, views: dict[str, Any]
) -> None:
    spec = TrialSpec.model_validate({"data": {"size": 64, "crop": 64}})
    export(model, tmp_path / "Format-Serving", examples=True, size=64, **views)
    signatures = tf.saved_model.load(str(tmp_path / "Format-Serving")).signatures
    assert sorted(signatures) == ["serving_default", "serving_examples"]
    predict = segmenter(model, spec, list(views.get("scales", (1.0,))), views.get("flip", False), False)
    encoded = [
        _bytes(_picture(*size), kind) for size, kind in (((75, 101), "jpeg"), ((40, 30), "png"), ((64, 64), "jpeg"))
    ]
    keys = [b"a", b"folder/b", b""]  # the last has none
    found = signatures["serving_examples"](
        examples=tf.constant([_example(data, key) for data, key in zip(encoded, keys, strict=True)])
    )
    assert sorted(found) == ["image/filename", "labels"]
    assert found["image/filename"].numpy().tolist() == [[key] for key in keys]
    assert found["labels"].shape == (3, 1)
    for data, answer in zip(encoded, found["labels"].numpy()[:, 0], strict=True):
        labels = Image.open(io.BytesIO(answer))
        expected = predict(np.asarray(Image.open(io.BytesIO(data))))
        assert labels.mode == "L"
        assert len(np.unique(expected)) == 3
        np.testing.assert_array_equal(np.asarray(labels), expected)


def test_a_model_of_one_size_sees_the_margin_of_predict(model: Any, tmp_path: Path) -> None:
    spec = TrialSpec.model_validate(
        {"model": {"backbone": "mit_b0", "output_stride": 32}, "data": {"size": 64, "crop": 64}}
    )
    export(model, tmp_path / "saved", examples=True, size=64, square=True)
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_examples"]
    data = _bytes(_picture(75, 101), "png")
    answer = serve(examples=tf.constant([_example(data)]))["labels"].numpy()[0, 0]
    expected = segmenter(model, spec, [1.0], False, False)(np.asarray(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer))), expected)
    with pytest.raises(ValueError, match="a model of one size needs that size"):
        export(model, tmp_path / "other", examples=True, square=True)
    assert not (tmp_path / "other").exists()


def test_more_than_256_classes_are_16_bits(tmp_path: Path) -> None:
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(300, 1, use_bias=False)(image))
    model.set_weights([np.concatenate([np.zeros((1, 1, 3, 299)), np.ones((1, 1, 3, 1))], -1)])
    export(model, tmp_path / "saved", examples=True)
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_examples"]
    answer = serve(examples=tf.constant([_example(_bytes(_picture(9, 8), "png"))]))["labels"].numpy()[0, 0]
    assert (np.asarray(Image.open(io.BytesIO(answer))) == 299).mean() > 0.9
