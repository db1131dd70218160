"""Lovász losses: worked out by hand, against sets, against float64, and the histogram against the exact loss."""

from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import losses

EXACT = losses.get("lovasz_softmax", activation="sigmoid")
BINS = losses.get("lovasz_histogram", activation="sigmoid", average="image")


def binary(truth: list, probabilities: list) -> tuple[np.ndarray, np.ndarray]:
    """Labels (1,1,P) and logits (1,1,P,1)."""
    p = np.array(probabilities, np.float64).reshape(1, 1, -1, 1)
    return np.array(truth, np.float32).reshape(1, 1, -1), np.log(p / (1 - p)).astype(np.float32)


def gradient(loss: Any, labels: np.ndarray, logits: np.ndarray, weight: Any = None) -> np.ndarray:
    z = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(labels, z, sample_weight=weight)
    return tape.gradient(value, z).numpy()


@pytest.mark.parametrize("loss", [EXACT, BINS], ids=["exact", "histogram"])
def test_class_term_by_hand(loss: Any) -> None:
    """Truth 1 1 0, p .9 .4 .7: errors .7 (outside), .6, .1; J = 1 - 2/3, 1 - 1/3, 1 - 0/3, so each adds 1/3."""
    labels, logits = binary([1, 1, 0], [0.9, 0.4, 0.7])
    assert float(loss(labels, logits)) == pytest.approx((0.7 + 0.6 + 0.1) / 3, rel=1e-6)
    # d e/dz is -p (1 - p) inside and p (1 - p) outside.
    expected = np.array([-0.9 * 0.1, -0.4 * 0.6, 0.7 * 0.3]) / 3
    np.testing.assert_allclose(gradient(loss, labels, logits).ravel(), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [EXACT, BINS], ids=["exact", "histogram"])
def test_weights_by_hand(loss: Any) -> None:
    """The same with weight 2 on the pixel outside: J = 1 - 2/4, 1 - 1/4, 1 - 0/4, as with four pixels."""
    labels, logits = binary([1, 1, 0], [0.9, 0.4, 0.7])
    weight = np.array([1, 1, 2], np.float32).reshape(1, 1, 3)
    expected = F(7, 10) * F(1, 2) + F(6, 10) * F(1, 4) + F(1, 10) * F(1, 4)
    assert float(loss(labels, logits, sample_weight=weight)) == pytest.approx(float(expected), rel=1e-6)
    slopes = np.array([-0.9 * 0.1 / 4, -0.4 * 0.6 / 4, 0.7 * 0.3 / 2])
    np.testing.assert_allclose(gradient(loss, labels, logits, weight).ravel(), slopes, rtol=1e-5)
    four = binary([1, 1, 0, 0], [0.9, 0.4, 0.7, 0.7])
    assert float(loss(*four)) == pytest.approx(float(expected), rel=1e-6)
    np.testing.assert_allclose(gradient(loss, *four).ravel(), [*slopes[:2], slopes[2] / 2, slopes[2] / 2], rtol=1e-5)


@pytest.mark.parametrize("loss", [EXACT, BINS], ids=["exact", "histogram"])
def test_equal_errors_share_what_they_add(loss: Any) -> None:
    """Errors .5 (inside), .5, .5 (outside), .1 (inside), G = 2. The first adds 1/2; the two outside take J from
    1 - 1/2 to 1 - 1/4, 1/8 each; the last adds 1/4. A sort alone gives the two 1/3 and 1/12, by their places."""
    labels, logits = binary([0, 1, 1, 0], [0.5, 0.9, 0.5, 0.5])
    assert float(loss(labels, logits)) == pytest.approx(0.5 * (1 / 2 + 2 / 8) + 0.1 / 4, rel=1e-6)
    expected = [0.25 / 8, -0.09 / 4, -0.25 / 2, 0.25 / 8]
    np.testing.assert_allclose(gradient(loss, labels, logits).ravel(), expected, rtol=1e-5)


def test_hinge_by_hand() -> None:
    """Logits 2, -.5, 1, truth 1 1 0: errors 0, 1.5, 2; J = 1 - 2/3, 1 - 1/3, 1."""
    labels, logits = np.array([[[1, 1, 0]]]), np.array([2, -0.5, 1], np.float32).reshape(1, 1, 3, 1)
    hinge = losses.get("lovasz_hinge")
    assert float(hinge(labels, logits)) == pytest.approx((2 + 1.5) / 3, rel=1e-6)
    np.testing.assert_allclose(gradient(hinge, labels, logits).ravel(), [0, -1 / 3, 1 / 3], rtol=1e-6)
    # Two channels: of the background, truth 0 0 1 and logits -2, .5, -1, errors 0, 1.5, 2 with the 2 inside: J = 1.
    both = np.concatenate([-logits, logits], -1)
    assert float(hinge(labels, both)) == pytest.approx(((2 + 1.5) / 3 + 2) / 2, rel=1e-6)


def test_hinge_pushes_an_absent_class_down() -> None:
    """Without truth every outside pixel makes J 1: the loss is the largest error, 1 + .5."""
    logits = np.array([-3, 0.5, -0.5], np.float32).reshape(1, 1, 3, 1)
    assert float(losses.get("lovasz_hinge")(np.zeros((1, 1, 3)), logits)) == pytest.approx(1.5)
    np.testing.assert_allclose(gradient(losses.get("lovasz_hinge"), np.zeros((1, 1, 3)), logits).ravel(), [0, 1, 0])
    assert float(losses.get("lovasz_hinge", classes="present")(np.zeros((1, 1, 3)), logits)) == 0


P3 = np.array([[0.6, 0.29, 0.11], [0.21, 0.68, 0.11], [0.12, 0.19, 0.69]])


@pytest.mark.parametrize("name", ["lovasz_softmax", "lovasz_histogram"])
def test_three_classes_by_hand(name: str) -> None:
    """Each class has one pixel, which has its largest error, so it alone counts: .4, .32, .31."""
    labels, logits = np.arange(3).reshape(1, 1, 3), np.log(P3).astype(np.float32).reshape(1, 1, 3, 3)
    assert float(losses.get(name)(labels, logits)) == pytest.approx((0.4 + 0.32 + 0.31) / 3, rel=1e-6)
    # -1/3 dp_t/dz_0: p_0 (1 - p_0) for the first pixel, -p_t p_0 for the others.
    expected = [-0.6 * 0.4 / 3, 0.68 * 0.21 / 3, 0.69 * 0.12 / 3]
    np.testing.assert_allclose(expected, [-0.08, 0.0476, 0.0276])
    np.testing.assert_allclose(gradient(losses.get(name), labels, logits)[..., 0].ravel(), expected, rtol=1e-5)


def test_absent_class() -> None:
    """Class 0 alone, p_1 = .3 and .6: its own errors count 1/2 each; class 1 has the largest of its p."""
    p = np.array([[0.7, 0.3], [0.4, 0.6]])
    logits, labels = np.log(p).astype(np.float32).reshape(1, 1, 2, 2), np.zeros((1, 1, 2), np.int32)
    present = (0.3 + 0.6) / 2
    for name in ("lovasz_softmax", "lovasz_histogram"):
        assert float(losses.get(name)(labels, logits)) == pytest.approx(present, rel=1e-6)
        assert float(losses.get(name, classes="all")(labels, logits)) == pytest.approx((present + 0.6) / 2, rel=1e-6)


def test_soft_labels() -> None:
    """Shares .5 and 1, p = .8 and .6. Error .4 inside: 1/G = 1/1.5. Error .3: inside 1/1.5 for .5 of a pixel, outside
    nothing is left to lose. Met exactly, the loss is 0."""
    labels, logits = binary([0.5, 1], [0.8, 0.6])
    assert float(EXACT(labels, logits)) == pytest.approx(0.4 / 1.5 + 0.3 * 0.5 / 1.5, rel=1e-6)
    labels, logits = binary([0.5, 0.3], [0.5, 0.3])
    assert float(EXACT(labels, logits)) == pytest.approx(0, abs=1e-6)


def iou_loss(truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray, classes: int) -> float:
    present = [c for c in range(classes) if (weight * (truth == c)).any()]
    both = [(weight * ((truth == c) & (predicted == c))).sum() for c in present]
    either = [(weight * ((truth == c) | (predicted == c))).sum() for c in present]
    return float(np.mean([1 - i / u for i, u in zip(both, either, strict=True)]))


@pytest.mark.parametrize("name", ["lovasz_softmax", "lovasz_histogram"])
@pytest.mark.parametrize("seed", range(4))
def test_on_hard_predictions_it_is_one_minus_iou(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = seed + 2
    truth, predicted = rng.integers(0, classes, (2, 1, 7, 9))
    labels = np.where(rng.random(truth.shape) < 0.2, 255, truth)
    weight = rng.uniform(0.1, 3, truth.shape).astype(np.float32)
    logits = np.where(np.arange(classes) == predicted[..., None], 200, 0).astype(np.float32)
    expected = iou_loss(truth, predicted, np.where(labels == 255, 0, weight), classes)
    assert float(losses.get(name)(labels, logits, sample_weight=weight)) == pytest.approx(expected, rel=1e-6)
    # At z = +1 and -1 the hinge has errors of 2 and 0.
    signs = np.where(np.arange(classes) == predicted[..., None], 1, -1).astype(np.float32)
    hinge = losses.get("lovasz_hinge", classes="present")
    assert float(hinge(labels, signs, sample_weight=weight)) == pytest.approx(2 * expected, rel=1e-6)


def in_float64(labels: np.ndarray, logits: np.ndarray, weight: np.ndarray) -> float:
    """The paper's sum of e_i (J_i - J_(i-1)), class by class, for one image."""
    z = logits.astype(np.float64).reshape(-1, logits.shape[-1])
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    terms = []
    for c in range(z.shape[-1]):
        g, w = (labels.ravel() == c).astype(np.float64), weight.ravel().astype(np.float64)
        if not g.any():
            continue
        order = np.argsort(-np.abs(g - p[:, c]), kind="stable")
        e, g, w = np.abs(g - p[:, c])[order], g[order], w[order]
        jaccard = 1 - ((w * g).sum() - np.cumsum(w * g)) / ((w * g).sum() + np.cumsum(w * (1 - g)))
        terms.append((e * np.diff(jaccard, prepend=0)).sum())
    return float(np.mean(terms))


def scene(seed: int, size: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks of labels, logits that are right more often than not, weights of a wide range; one image."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, classes, (1, size // 4 + 1, size // 4 + 1))
    labels = blocks.repeat(4, 1).repeat(4, 2)[:, :size, :size]
    logits = rng.normal(size=(1, size, size, classes)) * rng.uniform(0.5, 3)
    logits += rng.uniform(0, 4) * (np.arange(classes) == labels[..., None])
    return labels, logits.astype(np.float32), rng.uniform(0.01, 3, labels.shape).astype(np.float32)


def test_float32_keeps_six_digits_of_large_images() -> None:
    labels, logits, weight = scene(0, 400, 3)
    for name in ("lovasz_softmax", "lovasz_histogram"):
        value = float(losses.get(name, average="image")(labels, logits, sample_weight=weight))
        tolerance = 1e-6 if name == "lovasz_softmax" else 1e-4
        assert value == pytest.approx(in_float64(labels, logits, weight), rel=tolerance)


@pytest.mark.parametrize(("seed", "size", "classes"), [(1, 3, 2), (2, 8, 5), (3, 16, 21), (4, 33, 3), (5, 64, 2)])
def test_histogram_is_below_the_exact_loss_by_no_more_than_a_bin(seed: int, size: int, classes: int) -> None:
    labels, logits, weight = scene(seed, size, classes)
    exact = float(losses.get("lovasz_softmax")(labels, logits, sample_weight=weight))
    for bins in (1, 2, 10, 100, 1024):
        value = float(losses.get("lovasz_histogram", bins=bins)(labels, logits, sample_weight=weight))
        assert -1e-6 < exact - value < 1 / bins + 1e-6


def test_histogram_gap_by_hand() -> None:
    """Errors .98 (outside) and .02 (inside), G = 1: exactly .98/2 + .02/2; in one bin the inside is first, .02/1."""
    labels, logits = binary([0, 1], [0.98, 0.98])
    one = losses.get("lovasz_histogram", activation="sigmoid", bins=1)
    assert float(EXACT(labels, logits)) == pytest.approx(0.5, rel=1e-6)
    assert float(one(labels, logits)) == pytest.approx(0.02, rel=1e-5)


def test_histogram_of_fine_bins_has_the_exact_gradient() -> None:
    labels, logits, weight = scene(6, 12, 4)
    exact = gradient(losses.get("lovasz_softmax"), labels, logits, weight)
    fine = gradient(losses.get("lovasz_histogram", bins=2**20), labels, logits, weight)
    np.testing.assert_allclose(fine, exact, rtol=1e-4, atol=1e-7)
    coarse = gradient(losses.get("lovasz_histogram"), labels, logits, weight)
    assert np.linalg.norm(coarse - exact) < 0.05 * np.linalg.norm(exact)


def test_histogram_of_the_batch_is_that_of_one_image_of_all_its_pixels() -> None:
    labels, logits, weight = (np.concatenate(pair) for pair in zip(scene(7, 8, 3), scene(8, 8, 3), strict=True))
    batch = losses.get("lovasz_histogram")
    one = losses.get("lovasz_histogram", average="image")
    joined = [x.reshape(1, 16, 8, *x.shape[3:]) for x in (labels, logits, weight)]
    assert float(batch(labels, logits, weight)) == pytest.approx(float(one(*joined)), rel=1e-6)
    assert float(batch(labels, logits, weight)) != pytest.approx(float(one(labels, logits, weight)), rel=1e-3)
    np.testing.assert_allclose(
        gradient(batch, labels, logits, weight), gradient(one, *joined).reshape(logits.shape), rtol=1e-5, atol=1e-9
    )


def test_nan_is_not_hidden() -> None:
    labels, logits, weight = scene(9, 4, 3)
    logits[0, 1, 2] = np.nan
    for name in ("lovasz_softmax", "lovasz_hinge", "lovasz_histogram"):
        assert np.isnan(losses.get(name)(labels, logits, weight))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("lovasz_softmax", {"average": "batch"}, "average must be 'image', got 'batch'"),
        ("lovasz_hinge", {"activation": "softmax"}, "activation must be 'sigmoid'"),
        ("lovasz_histogram", {"bins": 0}, "bins must be a whole number > 0, got 0"),
    ],
)
def test_bad_parameters_are_named(name: str, params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.get(name, **params)
