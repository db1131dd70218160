"""Values and gradients worked out by hand, on both sides of every convention."""

from fractions import Fraction as F
from math import exp, log

import numpy as np
import pytest
import tensorflow as tf

import losses
from losses.overlap import overlap

# One 2x2 image, two classes: p_t = 3/4, 3/4, 1/2, 1/4; I = 5/4, 1; P = 9/4, 7/4; G = 2, 2.
L3 = log(3.0)
LOGITS = np.array([[[[L3, 0], [0, L3]], [[0, 0], [L3, 0]]]], np.float32)
LABELS = np.array([[[0, 1], [0, 1]]], np.uint8)
P_TRUE = (3 / 4, 3 / 4, 1 / 2, 1 / 4)
TP, FP, FN = (F(5, 4), F(1)), (F(1), F(3, 4)), (F(3, 4), F(1))
CE = sum(-log(p) for p in P_TRUE) / 4
DICE = 1 - sum(2 * tp / (2 * tp + fp + fn) for tp, fp, fn in zip(TP, FP, FN, strict=True)) / 2
TVERSKY = [1 - tp / (tp + F(3, 10) * fp + F(7, 10) * fn) for tp, fp, fn in zip(TP, FP, FN, strict=True)]
# Channel logits are (ln 3, 0), (0, ln 3) or (0, 0);
# softplus(0) = ln 2, softplus(-ln 3) = ln 4/3, softplus(ln 3) = ln 4.
BCE = (2 * (log(4 / 3) + log(2)) + 2 * log(2) + (log(4) + log(2))) / 8


@pytest.mark.parametrize(
    ("name", "params", "value"),
    [
        ("cross_entropy", {}, CE),
        ("cross_entropy", {"class_weights": (1, 3)}, (log(4 / 3) + log(2) + 3 * (log(4 / 3) + log(4))) / 8),
        ("cross_entropy", {"label_smoothing": 0.2}, 0.9 * CE - 0.1 * sum(log(1 - p) for p in P_TRUE) / 4),
        ("focal", {}, sum((1 - p) ** 2 * -log(p) for p in P_TRUE) / 4),
        ("bce", {}, BCE),
        ("dice", {}, DICE),
        ("dice", {"class_weights": (3, 1)}, F(3, 4) * F(7, 17) + F(1, 4) * F(7, 15)),
        ("dice", {"classes": [1]}, F(7, 15)),
        ("dice", {"smooth": 1.0}, 1 - (F(7, 2) / F(21, 4) + F(3) / F(19, 4)) / 2),
        ("dice_bce", {}, float(DICE) + BCE),
        ("tversky", {}, sum(TVERSKY) / 2),
        ("tversky", {"classes": [0], "alpha": 0.7, "beta": 0.3}, 1 - F(5, 4) / (F(5, 4) + F(7, 10) + F(9, 40))),
        ("focal_tversky", {}, sum(float(t) ** 0.75 for t in TVERSKY) / 2),
    ],
)
def test_fixture(name: str, params: dict, value: float) -> None:
    assert float(losses.get(name, **params)(LABELS, LOGITS)) == pytest.approx(float(value), rel=1e-6)


def test_void_pixel_leaves_the_mean() -> None:
    labels = np.array([[[0, 1], [0, 255]]], np.uint8)
    assert float(losses.get("cross_entropy")(labels, LOGITS)) == pytest.approx((2 * log(4 / 3) + log(2)) / 3)


def test_one_channel_is_the_binary_case() -> None:
    logits = np.array([L3, -L3, 0], np.float32).reshape(1, 1, 3, 1)
    labels = np.array([1, 0, 1], np.uint8).reshape(1, 1, 3)
    assert float(losses.get("bce")(labels, logits)) == pytest.approx((2 * log(4 / 3) + log(2)) / 3)
    easy, hard = log(4 / 3) / 16, log(2) / 4
    expected = (0.25 * easy + 0.75 * easy + 0.25 * hard) / 3
    assert float(losses.get("sigmoid_focal")(labels, logits)) == pytest.approx(expected)


def test_absent_class_with_predicted_mass() -> None:
    """Class 1 is absent and gets mass 1/2 of the one pixel: present leaves it out, all counts S/(S + smooth)."""
    logits, labels = np.zeros((1, 1, 1, 2), np.float32), np.zeros((1, 1, 1), np.uint8)
    present = 1 - 2 * 0.5 / (0.5 + 1)
    assert float(losses.get("dice")(labels, logits)) == pytest.approx(present)
    assert float(losses.get("dice", classes="all")(labels, logits)) == pytest.approx((present + 1) / 2)
    smoothed = losses.get("dice", classes=[1], smooth=1.0)
    assert float(smoothed(labels, logits)) == pytest.approx(1 - 1 / 1.5)


def test_soft_labels_that_are_met_have_no_dice_loss() -> None:
    p = np.array([0.3, 0.4, 0.7, 0.9], np.float32)
    truth = np.stack([p, 1 - p], -1).reshape(1, 2, 2, 2)
    assert float(losses.get("dice")(truth, np.log(truth))) == pytest.approx(0, abs=1e-6)
    assert float(losses.get("dice", from_logits=False)(truth, truth)) == pytest.approx(0, abs=1e-6)


def test_one_ratio_over_all_classes_of_a_softmax_is_the_mean_probability_of_the_truth() -> None:
    """Micro soft Dice measures confidence, not overlap: tables that call it mIoU rank the wrong thing."""
    rng = np.random.default_rng(0)
    p = tf.nn.softmax(rng.normal(size=(2, 5, 7, 4)).astype(np.float32) * 3)
    g = tf.one_hot(rng.integers(0, 4, (2, 5, 7)), 4)
    tp, fp, fn, _ = (float(tf.reduce_sum(count)) for count in overlap(p, g, tf.ones((2, 5, 7)), "batch"))
    mean_true = float(tf.reduce_mean(tf.reduce_sum(p * g, -1)))
    assert 2 * tp / (2 * tp + fp + fn) == pytest.approx(mean_true, rel=1e-5)
    assert tp / (tp + 0.3 * fp + 0.7 * fn) == pytest.approx(mean_true, rel=1e-5)


def gradient(name: str, logits: list, label: int, **params: float) -> np.ndarray:
    z = tf.constant(np.array(logits, np.float32).reshape(1, 1, 1, -1))
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = losses.get(name, **params)(np.full((1, 1, 1), label, np.uint8), z)
    return tape.gradient(value, z).numpy().ravel()


def test_gradients() -> None:
    np.testing.assert_allclose(gradient("cross_entropy", [0, 0, 0, 0], 2), [0.25, 0.25, -0.75, 0.25], rtol=1e-6)
    # focal, gamma 2 at p = 1/2: d/dz [(1-p)^2 (-ln p)] = -2 p (1-p)^2 (-ln p) - (1-p)^3 = -(ln 2 + 1/2)/4
    np.testing.assert_allclose(gradient("focal", [0, 0], 0)[0], -(log(2) + 0.5) / 4, rtol=1e-6)
    # one pixel, p = 1/2 of the only present class: Dice = (1-p)/(1+p), d/dz = -2/(1+p)^2 p(1-p)
    np.testing.assert_allclose(gradient("dice", [0, 0], 0)[0], -2 / 1.5**2 / 4, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_gradient_is_neither_clipped_nor_infinite(gamma: float) -> None:
    wrong = gradient("focal", [0, 20], 0, gamma=gamma)
    np.testing.assert_allclose(wrong, [-1, 1], rtol=1e-5)
    for margin in (5, 19, 100):
        right = gradient("focal", [margin, 0], 0, gamma=gamma)
        miss = exp(-margin) / (1 + exp(-margin))
        assert np.isfinite(right).all()
        # About (1 + gamma) miss^(1 + gamma); below the float32 spacing at p = 1 it may be 0.
        assert abs(right[0]) <= 1.1 * (1 + gamma) * max(miss, 1.2e-7) ** (1 + gamma)
