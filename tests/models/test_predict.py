"""Averaging of views and windows: against hand-computed values, the whole image, and the loop written out."""

import functools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
import models.inference.predict
from models.encoder.backbones import Backbone
from models.inference.predict import label_map, labels, probabilities, scores, sliding

PROJECT = Path(__file__).resolve().parents[2]

IMAGE = np.random.default_rng(0).uniform(0, 255, (2, 41, 67, 3)).astype("float32")
IMAGE_OF_NOISE = np.random.default_rng(5).uniform(0, 255, (2, 40, 96, 3)).astype("float32")


@pytest.fixture(scope="module")
def model(tiny_backbone: Backbone) -> keras.Model:
    keras.utils.set_random_seed(0)
    small = {"aspp_channels": 8, "decoder_channels": 8, "low_level_channels": 8, "batch_norm_momentum": 0.0}
    made = models.build(models.ModelSpec(backbone="resnet18", output_stride=32, **small), 3)
    made(IMAGE, training=True)  # with the statistics of what it sees, so that features do not fade
    return made


def _by_column(images: tf.Tensor, training: bool) -> tf.Tensor:
    """Logits (0, 0) in column 0 and (ln 3, 0) in column 1, whatever is seen."""
    first = math.log(3) * tf.cast(tf.range(tf.shape(images)[2]), tf.float32)
    return tf.stack([first + 0 * images[..., 0], 0 * images[..., 0]], -1)


def test_probabilities_are_averaged_and_not_logits() -> None:
    # Softmax of (0, 0) is 1/2, of (ln 3, 0) 3/4. Mirrored back, the columns change places: (1/2 + 3/4) / 2 = 5/8.
    # The mean of the logits would give sqrt(3) / (1 + sqrt(3)) = 0.634.
    image = np.zeros((1, 1, 2, 3), np.uint8)
    np.testing.assert_allclose(probabilities(_by_column, image)[0, 0, :, 0], [1 / 2, 3 / 4], rtol=1e-6)
    np.testing.assert_allclose(probabilities(_by_column, image, flip=True)[0, 0, :, 0], [5 / 8, 5 / 8], rtol=1e-6)


def test_scales_and_flip_are_the_mean_over_the_views(model: keras.Model) -> None:
    parts = []
    for height, width in ((20, 34), (41, 67), (62, 100)):  # 41 and 67 times 0.5, 1, 1.5, halves to even
        for step in (1, -1):
            seen = tf.image.resize(IMAGE, (height, width))[:, :, ::step]
            parts.append(tf.nn.softmax(tf.image.resize(model(seen, training=False)[:, :, ::step], (41, 67))).numpy())
    found = probabilities(model, IMAGE, scales=(0.5, 1, 1.5), flip=True)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, np.mean(parts, axis=0), atol=1e-5)
    assert np.abs(parts[0] - parts[2]).max() > 1e-3  # the views do differ
    np.testing.assert_allclose(np.sum(found, -1), 1, atol=1e-5)


def test_dynamic_sizes_and_another_size_out(model: keras.Model) -> None:
    call = tf.function(
        lambda images: probabilities(model, images, scales=(0.75, 1), size=(50, 80)),
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
        autograph=False,
    )
    for height, width in ((41, 67), (33, 40)):
        image = IMAGE[:, :height, :width].astype(np.uint8)
        found = call(image)
        assert found.shape == (2, 50, 80, 3)
        np.testing.assert_allclose(found, probabilities(model, image, scales=(0.75, 1), size=(50, 80)), atol=1e-4)


def test_one_channel_is_a_sigmoid() -> None:
    image = np.full((1, 2, 2, 3), 255, np.uint8)
    found = probabilities(lambda images, training: images[..., :1] / 255 * math.log(3), image)
    np.testing.assert_allclose(found, np.full((1, 2, 2, 1), 3 / 4), rtol=1e-6)


def test_scores_are_the_logits_of_one_view_and_else_the_logarithms_of_the_mean() -> None:
    image = np.zeros((1, 1, 2, 3), np.uint8)
    np.testing.assert_allclose(scores(_by_column, image), [[[[0, 0], [math.log(3), 0]]]], rtol=1e-6)
    np.testing.assert_allclose(np.exp(scores(_by_column, image, flip=True))[0, 0], [[5 / 8, 3 / 8]] * 2, rtol=1e-6)
    np.testing.assert_allclose(np.exp(scores(_by_column, image, scales=(1, 1)))[0, 0, 1], [3 / 4, 1 / 4], rtol=1e-6)
    # One channel: 1/2 and 3/4, in the mean of both directions 5/8, as log-odds.
    one = scores(lambda images, training: _by_column(images, training)[..., :1], image, flip=True)
    np.testing.assert_allclose(one[0, 0, :, 0], [math.log(5 / 3)] * 2, rtol=1e-6)


def test_a_refinement_is_given_the_images_their_probabilities_and_their_sizes_if_known() -> None:
    image, given = np.zeros((1, 1, 2, 3), np.uint8), []

    def refine(parts: list[object]) -> tf.Tensor:
        given.append(parts)
        return tf.constant([[[[0.25, 0.75], [1.0, 0.0]]]])

    found = scores(_by_column, image, crf=refine)
    np.testing.assert_allclose(found[0, 0], [[math.log(0.25), math.log(0.75)], [0, math.log(1e-30)]], rtol=1e-6)
    scores(_by_column, image, crf=refine, sizes=[[1, 2]])
    assert [len(parts) for parts in given] == [2, 3]
    assert given[0][0] is image
    np.testing.assert_allclose(given[0][1][0, 0], [[1 / 2, 1 / 2], [3 / 4, 1 / 4]], rtol=1e-6)
    assert given[1][2] == [[1, 2]]


def test_a_view_has_the_same_size_whether_it_is_known_before_or_not_and_a_pixel_at_least() -> None:
    for height, width, scale, expected in (
        (3, 40, 0.1, [1, 4]), (40, 3, 0.1, [4, 1]), (5, 7, 0.5, [2, 4]), (41, 67, 1.5, [62, 100]), (10, 9, 1, [10, 9]),
        (180, 700, 0.175, [31, 122]), (20000, 3, 0.5, [10000, 2]),
    ):  # fmt: skip
        images = tf.zeros((1, height, width, 3))
        sized = functools.partial(models.inference.predict._size, scale=scale)
        any_size = tf.function(sized, input_signature=[tf.TensorSpec((None,) * 4)], autograph=False)
        assert sized(images) == expected
        assert any_size(images).numpy().tolist() == expected


def test_strips_hold_ids_above_255(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.inference.predict, "STRIP", 500)
    for classes in (256, 257):
        last = tf.one_hot(tf.fill((1, 4, 3), classes - 1), classes)
        np.testing.assert_array_equal(labels(last, (9, 5)), np.full((1, 9, 5), classes - 1))


@pytest.mark.parametrize("traced", [False, True])
def test_labels_by_strips_are_those_of_the_whole_resized_picture(monkeypatch: pytest.MonkeyPatch, traced: bool) -> None:
    """In every pixel: larger, smaller, as large, along one side only, and at sizes that no strip divides."""
    monkeypatch.setattr(models.inference.predict, "STRIP", 500)

    def known(classes: int) -> Any:  # one trace for all sizes, as where a model is served
        kinds = [tf.TensorSpec((None, None, None, classes)), tf.TensorSpec(2, tf.int32)]
        return tf.function(labels, input_signature=kinds, autograph=False) if traced else labels

    found = {classes: known(classes) for classes in (5, 3, 1)}
    random = np.random.default_rng(0)
    shapes = [(16, 24, 37, 91), (20, 32, 20, 32), (40, 64, 40, 200), (40, 64, 111, 64), (31, 17, 9, 5), (1, 1, 7, 90)]
    shapes += [(33, 50, 99, 150), (50, 30, 51, 31), (5, 9, 1, 1)]
    for height, width, *size in shapes:
        for batch, classes in ((1, 5), (2, 3), (1, 1)):
            grid = tf.constant(random.normal(size=(batch, height, width, classes)), tf.float32)
            whole = tf.image.resize(grid, size)
            expected = tf.argmax(whole, -1) if classes > 1 else tf.cast(whole[..., 0] > 0, tf.int64)
            np.testing.assert_array_equal(found[classes](grid, tf.constant(size)), expected)


def test_of_equal_scores_the_first_class_has_the_pixel() -> None:
    np.testing.assert_array_equal(labels(tf.ones((1, 4, 4, 300)), (9, 9)), np.zeros((1, 9, 9)))


def test_labels_of_a_large_picture_take_a_quarter_of_the_memory_of_its_scores() -> None:
    """1000 x 750 pixels of 100 classes are 300 MB of scores, and took two and a half times that."""
    code = (
        "import resource, tensorflow as tf; from models.inference.predict import labels\n"
        "kinds = [tf.TensorSpec((1, None, None, 100)), tf.TensorSpec(2, tf.int32)]\n"
        "found = tf.function(labels, input_signature=kinds)\n"
        "found(tf.random.normal((1, 75, 100, 100)), [100, 90])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "found(tf.random.normal((1, 75, 100, 100)), [750, 1000])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1]) < 2.5 * 300 / 4


def test_label_map() -> None:
    np.testing.assert_array_equal(label_map(np.array([[[[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]]])), [[[1, 0]]])
    np.testing.assert_array_equal(label_map(np.array([[[[0.4], [0.6]]]])), [[[0, 1]]])


@pytest.mark.parametrize("scales", [(), (0.0,), (-1,), (float("nan"),), (float("inf"),)])
def test_scales_have_to_be_positive(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scales must be positive"):
        probabilities(_by_column, IMAGE, scales=scales)


def test_an_image_has_to_be_a_batch() -> None:
    with pytest.raises(ValueError, match=r"shape \(B, H, W, 3\), got \(41, 67, 3\)"):
        probabilities(_by_column, IMAGE[0])


# --- windows ---------------------------------------------------------------------------------------------------------


def _local(radius: int) -> object:
    """A convolution that sees `radius` pixels each way, with zeros outside the image, as networks do."""
    size = 2 * radius + 1
    kernel = np.random.default_rng(1).normal(size=(size, size, 3, 2)).astype("float32") / size
    return lambda images: tf.nn.conv2d(images, kernel, 1, "SAME")


def test_windows_give_the_whole_image_where_the_context_is_within_a_quarter_of_the_overlap() -> None:
    random = np.random.default_rng(2)
    for _ in range(40):
        radius = int(random.integers(0, 3))
        overlap = int(4 * radius + random.integers(0, 4))
        window = tuple(int(side) for side in overlap + random.integers(1, 14, 2))
        image = random.normal(size=(2, *random.integers(1, 45, 2), 3)).astype("float32")
        predict = _local(radius)
        found = sliding(predict, image, window, overlap)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, predict(image), atol=1e-4, err_msg=f"{image.shape} {window} {overlap}")


def test_beyond_that_context_only_the_seams_differ() -> None:
    image = np.random.default_rng(3).normal(size=(1, 20, 40, 3)).astype("float32")
    predict = _local(2)
    found, whole = sliding(predict, image, (20, 20), 0), np.asarray(predict(image))
    wrong = np.abs(found - whole).max((0, 1, 3)) > 1e-4
    assert wrong.tolist() == [18 <= column < 22 for column in range(40)]


def test_every_window_has_one_size_and_small_images_are_one_window() -> None:
    sizes = []
    sliding(lambda images: sizes.append(images.shape[1:3]) or images, np.zeros((1, 50, 90, 3)), 32, 8)
    # (50 - 8) / (32 - 8) = 1.75 -> 2 rows, (90 - 8) / 24 = 3.4 -> 4 columns
    assert sizes == [(32, 32)] * 8
    sizes.clear()
    sliding(lambda images: sizes.append(images.shape[1:3]) or images, np.zeros((1, 20, 32, 3)), 32, 8)
    assert sizes == [(20, 32)]


def test_one_window_fades_into_the_next() -> None:
    calls = iter(range(10))
    found = sliding(lambda images: np.full((*images.shape[:3], 1), next(calls)), np.zeros((1, 1, 24, 3)), 16, 8)
    # Overlap 8: 2 pixels of each window are left out, over the other 4 the weights rise by 1/4 from 1/8.
    np.testing.assert_allclose(found[0, 0, :, 0], [0] * 10 + [1 / 8, 3 / 8, 5 / 8, 7 / 8] + [1] * 10, atol=1e-6)


@pytest.mark.parametrize("overlap", [-1, 16])
def test_an_overlap_has_to_be_below_the_window(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"overlap {overlap} must be at least 0 and below the window"):
        sliding(lambda images: images, np.zeros((1, 32, 32, 3)), (16, 20), overlap)
