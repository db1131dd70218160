"""Other ways to evaluate a model: each is what it says, of the weights that the model has."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import losses
import models
from bench.spec import ViewSpec, parse
from bench.trial import views
from models import probabilities

MODEL = {
    "backbone": "resnet18", "output_stride": 32, "aspp_channels": 8, "decoder_channels": 8,
    "low_level_channels": 8, "batch_norm_momentum": 0.0,
}  # fmt: skip
SPEC = parse({"model": MODEL}, "here")
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")


@pytest.fixture(scope="module")
def model(tiny_backbone):
    keras.utils.set_random_seed(0)
    made = models.build(SPEC.model, 3)
    made(IMAGES, training=True)  # now each normalisation has the statistics of what it sees, and features do not fade
    return made


SIZES = np.array([[64, 96]] * 2, "int32")


def _seen(model, **view):
    sizes = {"sizes": SIZES} if view.get("crf") else {}
    return np.asarray(views.predictor(ViewSpec(**view), model, SPEC, 3)(IMAGES, training=False, **sizes))


def test_another_stride_has_the_weights_of_the_model(model):
    keras.utils.set_random_seed(1)
    dense = models.build(SPEC.model.model_copy(update={"output_stride": 8}), 3)
    untrained = np.asarray(dense(IMAGES, training=False))
    dense.set_weights(model.get_weights())
    found = _seen(model, output_stride=8)
    np.testing.assert_allclose(found, np.asarray(dense(IMAGES, training=False)), atol=1e-5)
    for other in (untrained, np.asarray(model(IMAGES, training=False))):
        assert np.abs(found - other).max() > 0.01
    np.testing.assert_allclose(_seen(model, output_stride=32), np.asarray(model(IMAGES, training=False)), atol=1e-6)


def test_scales_and_flip_give_the_log_of_the_mean_probability(model):
    expected = probabilities(model, IMAGES, scales=(0.5, 1.0), flip=True)
    np.testing.assert_allclose(np.exp(_seen(model, scales=[0.5, 1.0], flip=True)), expected, rtol=1e-4)


def test_the_crf_sees_the_picture_and_the_probabilities(model, thin_crf):
    soft = probabilities(model, IMAGES)
    expected = np.asarray(models.DenseCRF(from_logits=False)([IMAGES, soft]))
    np.testing.assert_allclose(np.exp(_seen(model, crf=True)), expected, atol=1e-5)
    assert np.abs(expected - np.asarray(soft)).max() > 0.01
    chosen = {"bilateral_sxy": 5.0, "bilateral_compat": 2.0, "iterations": 1}
    narrow = np.asarray(models.DenseCRF(from_logits=False, **chosen)([IMAGES, soft]))
    np.testing.assert_allclose(np.exp(_seen(model, crf=chosen)), narrow, atol=1e-5)
    assert np.abs(narrow - expected).max() > 0.01


def test_the_score_of_a_picture_under_the_crf_does_not_hang_on_the_shapes_of_others(thin_crf):
    """One picture alone, and beside one of another shape, in whose margin it then lies."""
    from bench.trial.evaluator import Evaluator

    def pixelwise(images, training=False):
        return images / 64

    rng = np.random.default_rng(3)
    picture = rng.uniform(0, 255, (8, 12, 3)).repeat(4, 0).repeat(4, 1).astype("uint8")
    label = rng.integers(0, 3, picture.shape[:2]).astype("uint8")

    def row(height, width):
        margin = [(0, height - 32), (0, width - 48)]
        return {
            "image": np.pad(picture, [*margin, (0, 0)], constant_values=127), "index": np.int32(0),
            "label": np.pad(label, margin, constant_values=255),
            "image_size": np.array([32, 48], "int32"), "label_size": np.array([32, 48], "int32"),
        }  # fmt: skip

    sizes = tf.TensorSpec((None, 2), tf.int32)
    signature = {
        "image": tf.TensorSpec((None, None, None, 3), tf.uint8), "index": tf.TensorSpec((None,), tf.int32),
        "label": tf.TensorSpec((None, None, None), tf.uint8), "image_size": sizes, "label_size": sizes,
    }  # fmt: skip

    def confusions(view, *shapes):
        predict = views.predictor(ViewSpec(**view), pixelwise, SPEC, 3)
        loss = losses.get("cross_entropy", average="image", reduction="none")
        scored = Evaluator(predict, loss, 3, tf.distribute.OneDeviceStrategy("CPU:0"), sized="crf" in view)
        batches = [{name: np.asarray(value)[None] for name, value in row(*shape).items()} for shape in shapes]
        # Without a static shape, as where a split has images of several: so one trace serves both.
        return [
            scored(tf.data.Dataset.from_generator(lambda one=one: iter([one]), output_signature=signature)).confusion
            for one in batches
        ]

    [unrefined] = confusions({}, (32, 48))
    for chosen in ({}, {"bilateral_sxy": 10}):
        alone, beside = confusions({"crf": chosen}, (32, 48), (48, 64))
        np.testing.assert_array_equal(beside, alone)
        assert (alone != unrefined).any()


def test_a_view_is_named_by_what_is_chosen():
    assert ViewSpec(crf=True).name == ViewSpec(crf={}).name == "crf"
    assert ViewSpec(crf=False).name == "default"
    assert ViewSpec(flip=True, crf={"bilateral_sxy": 26}).name == "flip+crf(bilateral_sxy=26)"
    assert ViewSpec.model_validate(ViewSpec(crf={}).model_dump(mode="json")) == ViewSpec(crf=True)
    with pytest.raises(ValueError, match="greater than 0"):
        ViewSpec(crf={"bilateral_sxy": 0})
