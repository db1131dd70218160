"""Boundary and Hausdorff losses, worked out by hand."""

from math import log

import numpy as np
import pytest
import tensorflow as tf

import losses
from losses.boundary import border_distance

# One row: truth 0 1 1 0 0, foreground probabilities .1 .9 .8 .4 .2.
P = np.array([0.1, 0.9, 0.8, 0.4, 0.2])
LABELS = np.array([0, 1, 1, 0, 0], np.uint8).reshape(1, 1, 5)
ONE_CHANNEL = np.log(P / (1 - P)).astype(np.float32).reshape(1, 1, 5, 1)
TWO_CHANNELS = np.log(np.stack([1 - P, P], -1)).astype(np.float32).reshape(1, 1, 5, 2)


def test_boundary_by_hand() -> None:
    """To the other side 1 1 1 1 2; phi = 1 0 0 1 2, as inside it is 1 less and negative."""
    foreground = (1 * 0.1 + 0 * 0.9 + 0 * 0.8 + 1 * 0.4 + 2 * 0.2) / 5
    assert foreground == pytest.approx(0.18)
    binary = losses.get("boundary", activation="sigmoid")
    assert float(binary(LABELS, ONE_CHANNEL)) == pytest.approx(foreground)
    assert float(losses.get("boundary", classes=[1])(LABELS, TWO_CHANNELS)) == pytest.approx(foreground)
    # Of the background, phi = 0 1 1 0 -1.
    background = (0 * 0.9 + 1 * 0.1 + 1 * 0.2 + 0 * 0.6 - 1 * 0.8) / 5
    assert float(losses.get("boundary")(LABELS, TWO_CHANNELS)) == pytest.approx((foreground + background) / 2)
    weighted = losses.get("boundary", class_weights=[1, 3])(LABELS, TWO_CHANNELS)
    assert float(weighted) == pytest.approx((3 * foreground + background) / 4)


def test_half_a_share_is_outside_the_region() -> None:
    shares = np.array([0.5, 1, 0.6, 0.5, 0], np.float32).reshape(1, 1, 5)
    region, distances = border_distance(tf.constant(shares[..., None]), tf.ones((1, 1, 5), tf.bool), partition=False)
    assert region.numpy().ravel().tolist() == LABELS.astype(bool).ravel().tolist()
    assert distances.numpy().ravel().tolist() == [1, 1, 1, 1, 2]


def test_boundary_gradient_is_the_distance() -> None:
    """d/dz of mean phi p is phi p (1 - p) / 5: no gradient on the outermost pixels of the object."""
    logits = tf.constant(ONE_CHANNEL)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = losses.get("boundary", activation="sigmoid")(LABELS, logits)
    expected = np.array([1, 0, 0, 1, 2]) * P * (1 - P) / 5
    np.testing.assert_allclose(tape.gradient(value, logits).numpy().ravel(), expected, rtol=1e-5)


def test_boundary_with_void() -> None:
    """0 1 1 void 0: phi of the last pixel is its distance 2 to the object; the void pixel is in no mean."""
    labels = np.array([0, 1, 1, 255, 0], np.uint8).reshape(1, 1, 5)
    expected = (1 * 0.1 + 0 * 0.9 - (2 - 1) * 0.8 + 2 * 0.2) / 4  # the third pixel is 2 away from both ends
    assert float(losses.get("boundary", classes=[1])(labels, TWO_CHANNELS)) == pytest.approx(expected)


def test_hausdorff_by_hand() -> None:
    """p > 1/2 is the truth, so both distances are 1 1 1 1 2; squared errors .01 .01 .04 .16 .04."""
    expected = 2 * (0.01 * 1 + 0.01 * 1 + 0.04 * 1 + 0.16 * 1 + 0.04 * 4) / 5
    assert expected == pytest.approx(0.152)
    assert float(losses.get("hausdorff", activation="sigmoid")(LABELS, ONE_CHANNEL)) == pytest.approx(expected)
    # The background has the same border and the same errors.
    assert float(losses.get("hausdorff")(LABELS, TWO_CHANNELS)) == pytest.approx(expected)
    linear = 2 * (0.01 + 0.01 + 0.04 + 0.16 + 2 * 0.04) / 5
    assert float(losses.get("hausdorff", alpha=1.0)(LABELS, TWO_CHANNELS)) == pytest.approx(linear)


def test_hausdorff_of_two_different_borders() -> None:
    """Truth 0 1 1 0 0 and prediction 1 0 0 0 0 (p = .9 .1 .1 .1 .1): d_g = 1 1 1 1 2, d_p = 1 1 2 3 4."""
    p = np.array([0.9, 0.1, 0.1, 0.1, 0.1])
    logits = np.log(np.stack([1 - p, p], -1)).astype(np.float32).reshape(1, 1, 5, 2)
    expected = (0.81 * (1 + 1) + 0.81 * (1 + 1) + 0.81 * (1 + 4) + 0.01 * (1 + 9) + 0.01 * (4 + 16)) / 5
    assert float(losses.get("hausdorff", classes=[1])(LABELS, logits)) == pytest.approx(expected)


def test_hausdorff_of_an_undecided_prediction() -> None:
    """p = 1/2 of both classes has no border: d_p = 0 and d_g alone weighs the errors of 1/4."""
    logits = np.zeros_like(TWO_CHANNELS)
    assert float(losses.get("hausdorff")(LABELS, logits)) == pytest.approx(0.25 * (1 + 1 + 1 + 1 + 4) / 5)


@pytest.mark.parametrize("name", ["boundary", "hausdorff"])
def test_an_image_of_one_class_has_no_border(name: str) -> None:
    labels = np.zeros_like(LABELS)
    for classes in ("present", "all"):
        loss = losses.get(name, classes=classes)
        value = float(loss(labels, np.full_like(TWO_CHANNELS, -log(2))))
        assert value == 0


@pytest.mark.parametrize("name", ["boundary", "hausdorff"])
def test_soft_labels_that_overlap(name: str) -> None:
    """With independent channels a pixel may be in two regions; each channel is then a problem of its own."""
    rng = np.random.default_rng(0)
    truth = (rng.random((2, 6, 7, 3)) < 0.6).astype(np.float32)
    truth[..., 0] = np.maximum(truth[..., 0], truth.max(-1) == 0)  # a row of zeros would be void
    logits = rng.normal(size=truth.shape).astype(np.float32)
    loss = losses.get(name, activation="sigmoid", classes="all")
    alone = [loss(np.stack([1 - truth[..., c], truth[..., c]], -1)[..., 1], logits[..., c : c + 1]) for c in range(3)]
    assert float(loss(truth, logits)) == pytest.approx(float(np.mean(alone)), rel=1e-5)


def test_alpha_must_be_positive() -> None:
    with pytest.raises(ValueError, match="alpha"):
        losses.get("hausdorff", alpha=0.0)
