"""Values and gradients worked out by hand, on both sides of every convention."""

from fractions import Fraction as F
from math import cosh, exp, log

import numpy as np
import pytest
import tensorflow as tf

import losses
from losses.core.overlap import overlap

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
MISSED = [1 / 4, 1 / 4, 1 / 2, 3 / 4]  # 1 - p_t
FOCAL = sum((1 - p) ** 2 * -log(p) for p in P_TRUE) / 4
SQUARES = (F(55, 16), F(47, 16))  # sum p^2 + sum g^2: 9/16 + 1/16 + 1/4 + 9/16 + 2 and 1/16 + 9/16 + 1/4 + 1/16 + 2
DICE_SCORES = [10 / 17, 8 / 15]
# Unified focal: delta = .6 on false negatives, gamma = .5.
MODIFIED = [1 - tp / (tp + F(6, 10) * fn + F(4, 10) * fp) for tp, fp, fn in zip(TP, FP, FN, strict=True)]
ROOT_FOCAL = [(1 - p) ** 0.5 * -log(p) for p in P_TRUE]
BCE = (2 * (log(4 / 3) + log(2)) + 2 * log(2) + (log(4) + log(2))) / 8


@pytest.mark.parametrize(
    ("name", "params", "value"),
    [
        ("cross_entropy", {}, CE),
        ("cross_entropy", {"class_weights": (1, 3)}, (log(4 / 3) + log(2) + 3 * (log(4 / 3) + log(4))) / 8),
        ("cross_entropy", {"label_smoothing": 0.2}, 0.9 * CE - 0.1 * sum(log(1 - p) for p in P_TRUE) / 4),
        ("focal", {}, FOCAL),
        ("poly1", {}, CE + 7 / 16),
        ("poly1", {"epsilon": -1.0}, CE - 7 / 16),
        ("poly_focal", {}, FOCAL + (2 / 64 + 1 / 8 + 27 / 64) / 4),
        ("gce", {}, sum((1 - p**0.7) / 0.7 for p in P_TRUE) / 4),
        ("gce", {"q": 1.0}, 7 / 16),
        ("symmetric_cross_entropy", {}, 0.1 * CE + 4 * 7 / 16),
        # Priors 3:1 move every logit of class 0 up by ln 3: p_t = 9/10, 1/2, 3/4, 1/10.
        ("logit_adjusted", {"priors": (3, 1)}, -(log(9 / 10) + log(1 / 2) + log(3 / 4) + log(1 / 10)) / 4),
        ("bce", {}, BCE),
        ("bce", {"class_weights": (1, 3)}, (log(4 / 3) + 2 * log(2) + log(4) + 3 * (log(4 / 3) + 3 * log(2))) / 16),
        ("dice", {}, DICE),
        ("dice", {"class_weights": (3, 1)}, F(3, 4) * F(7, 17) + F(1, 4) * F(7, 15)),
        ("dice", {"classes": [1]}, F(7, 15)),
        ("dice", {"smooth": 1.0}, 1 - (F(7, 2) / F(21, 4) + F(3) / F(19, 4)) / 2),
        ("dice_bce", {}, float(DICE) + BCE),
        ("tversky", {}, sum(TVERSKY) / 2),
        ("tversky", {"classes": [0], "alpha": 0.7, "beta": 0.3}, 1 - F(5, 4) / (F(5, 4) + F(7, 10) + F(9, 40))),
        ("jaccard", {}, 1 - (F(5, 12) + F(4, 11)) / 2),
        ("jaccard", {"smooth": 1.0}, (F(7, 16) + F(7, 15)) / 2),  # 7/4 errors each over 5/4 + 7/4 + 1 and 1 + 7/4 + 1
        ("squared_dice", {}, 1 - (F(5, 2) / SQUARES[0] + 2 / SQUARES[1]) / 2),
        ("log_cosh_dice", {}, (log(cosh(7 / 17)) + log(cosh(7 / 15))) / 2),
        ("log_dice", {}, -sum(map(log, DICE_SCORES)) / 2),
        ("log_dice", {"smooth": 1.0}, -(log(F(7, 2) / F(21, 4)) + log(F(3) / F(19, 4))) / 2),
        ("exp_log_dice", {}, sum((-log(d)) ** 0.3 for d in DICE_SCORES) / 2),
        (
            "exp_log",
            {},
            0.8 * sum((-log(d)) ** 0.3 for d in DICE_SCORES) / 2 + 0.2 * sum((-log(p)) ** 0.3 for p in P_TRUE) / 4,
        ),
        (
            "exp_log",
            {"dice_weight": 1.0, "ce_weight": 2.0, "exponent": 0.5},
            sum((-log(d)) ** 0.5 for d in DICE_SCORES) / 2 + 2 * sum((-log(p)) ** 0.5 for p in P_TRUE) / 4,
        ),
        # (1 + b^2) tp = 13/4 tp, b^2 fn + fp = 9/4 fn + fp
        ("f_beta", {"classes": [0]}, 1 - F(65, 16) / (F(65, 16) + F(27, 16) + 1)),
        ("f_beta", {"classes": [1]}, 1 - F(13, 4) / (F(13, 4) + F(9, 4) + F(3, 4))),
        # Equal truth in both classes: one ratio of sums, 7/2 errors over 2 * 9/4 + 7/2.
        ("generalized_dice", {}, F(7, 16)),
        ("mcc", {}, 1 - (5 / 4 * 1 - 1 * 3 / 4) / (9 / 4 * 2 * 7 / 4 * 2) ** 0.5),
        ("sensitivity_specificity", {"classes": [1]}, 0.05 * (1 / 16 + 9 / 16) / 2 + 0.95 * (1 / 16 + 1 / 4) / 2),
        (
            "noise_robust_dice",
            {},
            sum(x**1.5 for x in MISSED) * float(1 / SQUARES[0] + 1 / SQUARES[1]) / 2,
        ),
        ("dice_cross_entropy", {}, float(DICE) + CE),
        ("dice_focal", {}, float(DICE) + FOCAL),
        ("combo", {"alpha": 0.25, "balance": 1.0}, 0.25 * CE + 0.75 * float(DICE)),
        ("unified_focal", {}, 0.5 * 0.6 * sum(ROOT_FOCAL) / 4 + 0.5 * sum(float(m) ** 0.5 for m in MODIFIED) / 2),
        (
            "asymmetric_unified_focal",
            {},
            0.5 * (0.6 * (log(4 / 3) + log(4)) + 0.4 * (ROOT_FOCAL[0] + ROOT_FOCAL[2])) / 4
            + 0.5 * (float(MODIFIED[0]) + float(MODIFIED[1]) ** 0.5) / 2,
        ),
        # True positives: p_t of class 1 alone, 3/4 + 1/4; errors: all of sum(1 - p_t).
        ("wasserstein_dice", {}, F(7, 4) / (2 * 1 + F(7, 4))),
        # Half as far: d = (1 - p_t)/2; T = ((1 - 1/8) + (1 - 3/8))/2.
        ("wasserstein_dice", {"distances": [[0, 0.5], [0.5, 0]]}, F(7, 8) / (2 * F(3, 4) + F(7, 8))),
        ("focal_tversky", {}, sum(float(t) ** 0.75 for t in TVERSKY) / 2),
    ],
)
def test_fixture(name: str, params: dict, value: float) -> None:
    assert float(losses.get(name, **params)(LABELS, LOGITS)) == pytest.approx(float(value), rel=1e-6)


def test_log_dice_of_more_errors_than_hits() -> None:
    """The labels of the other column: I = 1, 3/4 of P = 9/4, 7/4 and G = 2, 2, so that both Dice are below 1/2."""
    value = float(losses.get("log_dice")(1 - LABELS, LOGITS))
    assert value == pytest.approx(-(log(8 / 17) + log(2 / 5)) / 2, rel=1e-6)


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


# One row of four pixels, one channel: p = .8, .3, .1, .2 against 1, 1, 0, 0.
ROW = np.array([0.8, 0.3, 0.1, 0.2], np.float32).reshape(1, 1, 4, 1)
ROW_LABELS = np.array([1, 1, 0, 0], np.uint8).reshape(1, 1, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # (.2^2 + .7^2)/2 of the positives, (.1^2 + .2^2)/2 of the negatives
        ("sensitivity_specificity", 0.05 * 0.53 / 2 + 0.95 * 0.05 / 2),
        # tp 1.1, fp .3, fn .9, tn 1.7
        ("mcc", 1 - (1.1 * 1.7 - 0.3 * 0.9) / (1.4 * 2.0 * 2.0 * 2.6) ** 0.5),
        ("jaccard", 1 - 1.1 / 2.3),
    ],
)
def test_one_sigmoid(name: str, value: float) -> None:
    loss = losses.get(name, activation="sigmoid", from_logits=False)
    assert float(loss(ROW_LABELS, ROW)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_mcc_of_a_group_of_one_class_is_what_is_missed(seed: int) -> None:
    """Nothing is outside the class; with sums that cancel, rounding alone would say whether the loss is 1 or fn."""
    logits = np.random.default_rng(seed).normal(size=(1, 32, 32, 3)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    value = losses.get("mcc", average="image")(np.zeros((1, 32, 32), np.uint8), logits)
    assert float(value) == pytest.approx(1 - p[..., 0].mean(), rel=1e-5)


def test_generalized_dice_is_one_ratio() -> None:
    """Truth 0, 0, 0, 1: weights 1/9 and 1; I = 2.4, .6; P + G = 2.8 + 3, 1.2 + 1."""
    p = np.array([0.9, 0.8, 0.7, 0.4], np.float32)
    loss = losses.get("generalized_dice", from_logits=False)
    value = loss(np.array([[[0, 0, 0, 1]]], np.uint8), np.stack([p, 1 - p], -1)[None, None])
    assert float(value) == pytest.approx(1 - 2 * (2.4 / 9 + 0.6) / (5.8 / 9 + 2.2), rel=1e-6)
    assert float(value) == pytest.approx(25 / 64, rel=1e-6)


def test_a_class_that_is_absent_has_no_part_in_the_weights_of_generalized_dice() -> None:
    """Truth 0, 0, 0, 1 of three classes: weights 1/9 and 1, as if the third were not; I = 2.1, .6; P = 2.4, 1.2."""
    p = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1]], np.float32)[None, None]
    value = losses.get("generalized_dice", from_logits=False)(np.array([[[0, 0, 0, 1]]], np.uint8), p)
    assert float(value) == pytest.approx(1 - 2 * (2.1 / 9 + 0.6) / ((2.4 + 3) / 9 + 1.2 + 1), rel=1e-6)


def test_combo_weighs_misses_and_false_alarms() -> None:
    """p = 1/2, 1/4, 1/4, label 0: the miss costs ln 2, the two false alarms -2 ln 3/4; Dice is 1 - 1/(3/2)."""
    logits = np.log(np.array([0.5, 0.25, 0.25], np.float32)).reshape(1, 1, 1, 3)
    loss = losses.get("combo", alpha=0.6, balance=0.7)
    expected = 0.6 * (0.7 * log(2) - 0.3 * 2 * log(3 / 4)) + 0.4 / 3
    assert float(loss(np.zeros((1, 1, 1), np.uint8), logits)) == pytest.approx(expected, rel=1e-6)


def test_false_alarms_have_a_gradient_at_any_margin() -> None:
    """-ln(1-p) of a wrong class that is 40 nats ahead is 40, with slope 1, not the logarithm of a clipped number."""
    z = tf.constant([0.0, 40.0, -3.0], shape=(1, 1, 1, 3))
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = losses.get("combo", alpha=1.0, balance=0.0)(np.zeros((1, 1, 1), np.uint8), z)
    assert float(value) == pytest.approx(40 - log(1 + exp(-3)), rel=1e-6)
    np.testing.assert_allclose(tape.gradient(value, z).numpy().ravel()[1], 1.0, rtol=1e-6)


def test_dice_and_jaccard_of_a_class_are_bound_to_each_other() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(2, 5, 7, 4)).astype(np.float32), rng.integers(0, 4, (2, 5, 7))
    for c in range(4):
        dice, jaccard = (1 - float(losses.get(name, classes=[c])(labels, logits)) for name in ("dice", "jaccard"))
        assert jaccard == pytest.approx(dice / (2 - dice), rel=1e-5)


def test_generalized_cross_entropy_goes_to_cross_entropy() -> None:
    assert float(losses.get("gce", q=1e-3)(LABELS, LOGITS)) == pytest.approx(CE, rel=1e-3)


def test_generalized_dice_of_equal_weights_is_the_mean_probability_of_the_truth() -> None:
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(2, 5, 7, 4)).astype(np.float32), rng.integers(0, 4, (2, 5, 7))
    mean_true = np.take_along_axis(tf.nn.softmax(logits).numpy(), labels[..., None], -1).mean()
    assert float(losses.get("generalized_dice", power=0.0)(labels, logits)) == pytest.approx(1 - mean_true, rel=1e-5)


def test_a_confusion_far_away_costs_more() -> None:
    """Classes 1 and 2 are near (.2), both far from 0: taking 1 for 2 costs a fifth of taking it for 0."""
    near = losses.get("wasserstein_dice", distances=[[0, 1, 1], [1, 0, 0.2], [1, 0.2, 0]], from_logits=False)
    labels = np.ones((1, 1, 1), np.uint8)

    def of(p: list[float]) -> float:
        return float(near(labels, np.array(p, np.float32).reshape(1, 1, 1, 3)))

    assert of([0, 0.5, 0.5]) == pytest.approx(0.1 / (2 * 0.9 + 0.1), rel=1e-5)
    assert of([0.5, 0.5, 0]) == pytest.approx(0.5 / (2 * 0.5 + 0.5), rel=1e-5)


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


def test_focal_of_an_average_over_37_channels_has_next_to_no_gradient() -> None:
    """(1 - exp(b))^2 b / 4 of b, the mean BCE of a softmax over all channels: focal loss as once compared elsewhere."""
    z = tf.zeros([1, 37])
    with tf.GradientTape() as tape:
        tape.watch(z)
        b = tf.reduce_mean(tf.keras.losses.binary_crossentropy(tf.one_hot([5], 37), tf.nn.softmax(z)))
        value = (1 - tf.exp(b)) ** 2 * b / 4
    uniform = (log(37) + 36 * log(37 / 36)) / 37
    assert float(b) == pytest.approx(uniform, rel=1e-5)
    # The slope of 37 b in the true logit is -(1-p) - 36 p^2 / (1-p) = -36/37 - 1/37 = -1.
    slope = ((1 - exp(uniform)) ** 2 + 2 * (exp(uniform) - 1) * exp(uniform) * uniform) / 4
    found = tape.gradient(value, z).numpy()[0, 5]
    assert found == pytest.approx(-slope / 37, rel=1e-4)
    assert gradient("cross_entropy", [0] * 37, 5)[5] / found == pytest.approx(2631, abs=1)


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
