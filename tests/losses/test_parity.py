"""The same numbers as Keras, KerasCV and tensorflow-addons where they are right; both numbers where they are not.

A test of a fault asserts the faulty value too, so it fails on the release that mends it. Then the test becomes a case
of `test_parity`, or says from which release on.
"""

import importlib
from collections.abc import Callable
from math import exp, log
from typing import Any

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

import losses

K = keras.losses
KERAS_3 = keras.__version__.startswith("3.")
needs_keras_3 = pytest.mark.skipif(not KERAS_3, reason="Dice, Tversky and GCE came with Keras 3")
MENDED = f"a fault of Keras 2.15.0 to 3.15.1 is gone in {keras.__version__}: mend this test and the docs"

B, H, W, C = 2, 3, 4, 3
RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(B, H, W, C)).astype(np.float32) * 2
LABELS = RNG.integers(0, C, (B, H, W)).astype(np.int32)
ONE_HOT = np.eye(C, dtype=np.float32)[LABELS]
VOID = LABELS.copy()
VOID[0, :2] = 255

Function = Callable[[tf.Tensor], tf.Tensor]


def evaluate(function: Function, logits: Any) -> tuple[float, np.ndarray]:
    logits = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = tf.reduce_mean(function(logits))
    return float(value), tape.gradient(value, logits).numpy()


def ours(name: str, labels: np.ndarray = LABELS, **params: Any) -> Function:
    return lambda logits: losses.get(name, **params)(labels, logits)


def addons() -> Any:
    try:
        return importlib.import_module("tensorflow_addons")
    except ImportError:
        pytest.skip("tensorflow-addons ends at TensorFlow 2.15 and Python 3.11")


def overlap_of_keras(name: str, axis: tuple[int, ...], **params: Any) -> Function:
    """Keras' Dice or Tversky a class: it takes probabilities, and `axis` must leave the classes out."""
    return lambda logits: getattr(K, name)(axis=axis, **params)(ONE_HOT, tf.nn.softmax(logits))


LOGIT_LOSSES: dict[str, tuple[Function, Function]] = {
    "cross-entropy": (
        ours("cross_entropy"),
        lambda z: K.SparseCategoricalCrossentropy(from_logits=True)(LABELS, z),
    ),
    "cross-entropy, void": (
        ours("cross_entropy", VOID),
        lambda z: K.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)(VOID, z),
    ),
    "cross-entropy, smoothed": (
        ours("cross_entropy", label_smoothing=0.1),
        lambda z: K.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(ONE_HOT, z),
    ),
    "bce": (ours("bce"), lambda z: K.BinaryCrossentropy(from_logits=True)(ONE_HOT, z)),
    # Keras' default alpha = .25 scales all classes alike.
    "focal": (ours("focal"), lambda z: 4 * K.CategoricalFocalCrossentropy(from_logits=True)(ONE_HOT, z)),
    "sigmoid focal": (
        ours("sigmoid_focal"),
        lambda z: K.BinaryFocalCrossentropy(from_logits=True, apply_class_balancing=True)(ONE_HOT, z),
    ),
    "sigmoid focal without alpha": (
        ours("sigmoid_focal", alpha=None, gamma=3.0),
        lambda z: K.BinaryFocalCrossentropy(from_logits=True, gamma=3.0)(ONE_HOT, z),
    ),
    # KerasCV and tensorflow-addons take the sum over the channels, see below.
    "sigmoid focal of KerasCV": (
        ours("sigmoid_focal"),
        lambda z: keras_cv.losses.FocalLoss(from_logits=True)(ONE_HOT, z) / C,
    ),
    "sigmoid focal of tensorflow-addons": (
        ours("sigmoid_focal"),
        lambda z: addons().losses.SigmoidFocalCrossEntropy(from_logits=True)(ONE_HOT, z) / C,
    ),
}
KERAS_3_LOSSES: dict[str, tuple[Function, Function]] = {
    "Dice of the batch": (ours("dice", classes="all"), overlap_of_keras("Dice", (0, 1, 2))),
    "Dice of each image": (ours("dice", classes="all", average="image"), overlap_of_keras("Dice", (1, 2))),
    "Jaccard": (
        ours("tversky", classes="all", alpha=1.0, beta=1.0),
        overlap_of_keras("Tversky", (0, 1, 2), alpha=1.0, beta=1.0),
    ),
    "GCE": (
        ours("gce", q=0.7),
        lambda z: K.CategoricalGeneralizedCrossEntropy(q=0.7)(LABELS.ravel(), tf.nn.softmax(tf.reshape(z, (-1, C)))),
    ),
}


@pytest.mark.parametrize("case", LOGIT_LOSSES)
def test_parity(case: str) -> None:
    agree(*LOGIT_LOSSES[case])


@needs_keras_3
@pytest.mark.parametrize("case", KERAS_3_LOSSES)
def test_parity_with_keras_3(case: str) -> None:
    agree(*KERAS_3_LOSSES[case])


def agree(first: Function, second: Function) -> None:
    (value, gradient), (theirs, their_gradient) = evaluate(first, LOGITS), evaluate(second, LOGITS)
    assert value == pytest.approx(theirs, rel=1e-6)
    np.testing.assert_allclose(gradient, their_gradient, rtol=1e-5, atol=1e-6 * np.abs(their_gradient).max())


@needs_keras_3
def test_keras_tversky_has_alpha_and_beta_swapped() -> None:
    """One pixel found and one missed, probabilities 1 and 0: tp = 1, fn = 1, fp = 0 of class 1.

    As documented 1 - 1/(1 + beta) with beta = .7; Keras up to 3.15.1 has 1 - 1/(1 + alpha), alpha = .3 (keras #23333).
    """
    truth = np.array([1, 1], np.float32).reshape(1, 1, 2, 1)
    probability = np.array([1, 0], np.float32).reshape(1, 1, 2, 1)
    theirs = float(K.Tversky(alpha=0.3, beta=0.7)(truth, probability))
    assert theirs == pytest.approx(0.3 / 1.3, abs=1e-6), MENDED
    sure = losses.get("tversky", alpha=0.3, beta=0.7, classes=[1])
    labels = np.ones((1, 1, 2), np.uint8)
    logits = np.array([[[[-40, 40], [40, -40]]]], np.float32)
    assert float(sure(labels, logits)) == pytest.approx(0.7 / 1.7, abs=1e-6)
    swapped = overlap_of_keras("Tversky", (0, 1, 2), alpha=0.7, beta=0.3)
    agree(ours("tversky", alpha=0.3, beta=0.7, classes="all"), swapped)


@needs_keras_3
def test_keras_dice_as_it_comes_is_no_overlap() -> None:
    """`axis=None` sums over the classes too: of a softmax that is 1 - the mean probability of the true class."""
    theirs = float(K.Dice()(ONE_HOT, tf.nn.softmax(LOGITS)))
    probability = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    mean_true = (probability * ONE_HOT).sum(-1).mean()
    assert theirs == pytest.approx(1 - mean_true, rel=1e-6), MENDED
    axes = (0, 1, 2)
    of_classes = 2 * (probability * ONE_HOT).sum(axes) / (probability.sum(axes) + ONE_HOT.sum(axes))
    assert float(losses.get("dice")(LABELS, LOGITS)) == pytest.approx(1 - of_classes.mean(), rel=1e-6)
    assert theirs != pytest.approx(1 - of_classes.mean(), rel=1e-3)


@needs_keras_3
def test_keras_dice_multiplies_by_the_weights_of_the_images() -> None:
    """An image of weight 0 should be left out; Keras multiplies the loss of both by the mean weight, 1/2."""
    weights = np.array([1, 0], np.float32)
    p = tf.nn.softmax(LOGITS)
    theirs = float(K.Dice()(ONE_HOT, p, sample_weight=weights))
    assert theirs == pytest.approx(float(K.Dice()(ONE_HOT, p)) / 2, rel=1e-6), MENDED
    dice = losses.get("dice")
    left = float(dice(LABELS[:1], LOGITS[:1]))
    assert float(dice(LABELS, LOGITS, sample_weight=weights)) == pytest.approx(left, rel=1e-6)


@needs_keras_3
def test_keras_dice_function_overflows_in_float16() -> None:
    """512 x 512 ones are 262144, above float16's 65504: inf / inf."""
    ones = tf.ones((1, 512, 512, 2), tf.float16)
    assert np.isnan(float(K.dice(ones, ones / 2))), MENDED
    undecided = losses.get("dice")(np.zeros((1, 512, 512), np.uint8), 0 * ones)
    assert float(undecided) == pytest.approx(1 - 2 * 0.5 / 1.5, rel=1e-5)


@pytest.mark.parametrize("margin", [16.5, 20, 100])
def test_keras_categorical_focal_gives_up_on_the_worst_pixels(margin: float) -> None:
    """Probabilities are clipped at 1e-7: beyond -ln 1e-7 = 16.118 nats the loss is flat. Ours is margin, gradient 1."""
    labels = np.zeros((1, 1, 1), np.int32)
    wrong = np.array([0, margin], np.float32).reshape(1, 1, 1, 2)
    one_hot = np.eye(2, dtype=np.float32)[labels]
    value, gradient = evaluate(lambda z: K.CategoricalFocalCrossentropy(alpha=1.0, from_logits=True)(one_hot, z), wrong)
    assert value == pytest.approx(-log(1e-7), rel=1e-6), MENDED
    assert (gradient == 0).all(), MENDED
    value, gradient = evaluate(ours("focal", labels), wrong)
    assert value == pytest.approx(margin, rel=1e-6)
    assert gradient.ravel() == pytest.approx([-1, 1], rel=1e-5)


@pytest.mark.parametrize("library", ["keras", "keras_cv", "tensorflow_addons"])
def test_binary_focal_of_a_sure_pixel_has_no_gradient_elsewhere(library: str) -> None:
    """A right logit of 19 with gamma = 1/2: p rounds to 1, and the power there has the slope 0 * infinity = NaN.

    Ours: f = m^(1/2) (-ln p) with m = 1 - p = e^-19 / (1 + e^-19), -ln p = ln(1 + e^-19), df/dz about -3/2 m^(3/2).
    """
    labels, target = np.ones((1, 1, 1), np.int32), np.ones((1, 1, 1, 1), np.float32)
    sure = np.full((1, 1, 1, 1), 19, np.float32)
    theirs = {
        "keras": lambda: K.BinaryFocalCrossentropy(gamma=0.5, from_logits=True),
        "keras_cv": lambda: keras_cv.losses.FocalLoss(gamma=0.5, from_logits=True),
        "tensorflow_addons": lambda: addons().losses.SigmoidFocalCrossEntropy(gamma=0.5, from_logits=True),
    }[library]()
    value, gradient = evaluate(lambda z: theirs(target, z), sure)
    assert value == 0, MENDED
    assert np.isnan(gradient).all(), MENDED
    value, gradient = evaluate(ours("sigmoid_focal", labels, gamma=0.5, alpha=None), sure)
    miss = exp(-19) / (1 + exp(-19))
    assert value == pytest.approx(miss**1.5, rel=1e-5, abs=0)
    assert gradient.item() == pytest.approx(-1.5 * miss**1.5, rel=1e-5, abs=0)


@needs_keras_3
def test_keras_gce_has_no_gradient_where_the_probability_is_zero() -> None:
    """Wrong by 120 nats p_t is 0 in float32, and the slope of p^q infinite: infinity * 0. Ours is flat there."""
    labels, wrong = np.zeros((1, 1, 1), np.int32), np.array([0, 120], np.float32).reshape(1, 1, 1, 2)
    theirs = K.CategoricalGeneralizedCrossEntropy(q=0.7)
    _, gradient = evaluate(lambda z: theirs(labels.ravel(), tf.nn.softmax(tf.reshape(z, (-1, 2)))), wrong)
    assert np.isnan(gradient).any(), MENDED
    value, gradient = evaluate(ours("gce", labels, q=0.7), wrong)
    assert value == pytest.approx(1 / 0.7)
    np.testing.assert_allclose(gradient, 0, atol=1e-30)


@pytest.mark.parametrize("channels", [2, 10, 100])
def test_keras_cv_focal_grows_with_the_number_of_classes(channels: int) -> None:
    """All logits 0: each channel gives ln 2 / 4, times 1/4 where it is true and 3/4 elsewhere; summed."""
    labels = np.zeros((1, 1, 1), np.int32)
    one_hot = np.eye(channels, dtype=np.float32)[labels]
    total = (0.25 + 0.75 * (channels - 1)) * log(2) / 4
    flat = np.zeros((1, 1, 1, channels), np.float32)
    theirs = float(keras_cv.losses.FocalLoss(from_logits=True)(one_hot, flat))
    assert theirs == pytest.approx(total, rel=1e-5), f"KerasCV {keras_cv.__version__} takes another sum now"
    assert float(ours("sigmoid_focal", labels)(flat)) == pytest.approx(total / channels, rel=1e-5)


def test_addons_focal_is_not_reduced() -> None:
    """Its default is NONE, so `fit` gets a map of pixels, and the sum over the channels grows with their number."""
    theirs = addons().losses.SigmoidFocalCrossEntropy(from_logits=True)(ONE_HOT, LOGITS)
    assert theirs.shape == (B, H, W)
    assert losses.get("sigmoid_focal")(LABELS, LOGITS).shape == ()


def test_a_batch_of_void_is_nan_in_keras_2() -> None:
    """0 / 0 valid pixels; Keras 3 and ours give 0."""
    void = np.full_like(LABELS, 255)
    theirs = float(K.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)(void, LOGITS))
    assert theirs == 0 if KERAS_3 else np.isnan(theirs)
    value, gradient = evaluate(ours("cross_entropy", void), LOGITS)
    assert value == 0
    assert (gradient == 0).all()
