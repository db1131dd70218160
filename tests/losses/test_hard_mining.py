"""Top-k and online hard example mining, worked out by hand."""

from math import log
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import losses

# One 2x2 image, two classes: p_t = 3/4, 3/4, 1/2, 1/4 and losses ln 4/3, ln 4/3, ln 2, ln 4.
L3 = log(3.0)
LOGITS = np.array([[[[L3, 0], [0, L3]], [[0, 0], [L3, 0]]]], np.float32)
LABELS = np.array([[[0, 1], [0, 1]]], np.uint8)
EASY, MIDDLE, HARD = log(4 / 3), log(2), log(4)
CE = (2 * EASY + MIDDLE + HARD) / 4


def value(name: str, labels: np.ndarray = LABELS, logits: np.ndarray = LOGITS, weight: Any = None, **params) -> float:
    return float(losses.get(name, **params)(labels, logits, sample_weight=weight))


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("top_k", {"k": 0.5}, (HARD + MIDDLE) / 2),
        ("top_k", {"k": 0.25}, HARD),
        ("top_k", {}, HARD),  # .4 of one pixel is that pixel
        ("top_k", {"k": 0.375}, (HARD + 0.5 * MIDDLE) / 1.5),  # one pixel and a half
        ("top_k", {"k": 0.75}, (HARD + MIDDLE + EASY) / 3),
        ("top_k", {"k": 1.0}, CE),
        # Class weights are pixel weights, 1 3 1 3: of 8 the hardest 4 are all of the last pixel and the third.
        ("top_k", {"k": 0.5, "class_weights": (1, 3)}, (3 * HARD + MIDDLE) / 4),
        # Smoothed by .2: .8 (-ln p_t) + .1 (-ln p_t - ln(1 - p_t)).
        ("top_k", {"k": 0.5, "label_smoothing": 0.2}, (MIDDLE + 0.9 * HARD + 0.1 * EASY) / 2),
        ("ohem", {"threshold": 0.6}, (HARD + MIDDLE) / 2),
        ("ohem", {}, (HARD + MIDDLE) / 2),
        ("ohem", {"threshold": 0.3}, HARD),
        ("ohem", {"threshold": 0.3, "min_kept": 0.5}, (HARD + MIDDLE) / 2),
        ("ohem", {"threshold": 0.1}, HARD),  # none is below: .1 of the pixels, which is a part of the hardest
        ("ohem", {"threshold": 0.6, "label_smoothing": 0.2}, (MIDDLE + 0.9 * HARD + 0.1 * EASY) / 2),
        ("ohem", {"threshold": 1.0}, CE),
    ],
)
def test_fixture(name: str, params: dict, expected: float) -> None:
    assert value(name, **params) == pytest.approx(expected, rel=1e-6)


def test_the_share_is_of_valid_pixels() -> None:
    """With the hardest pixel void, half of three is 1.5: ln 2 and half of ln 4/3."""
    labels = np.array([[[0, 1], [0, 255]]], np.uint8)
    assert value("top_k", labels, k=0.5) == pytest.approx((MIDDLE + 0.5 * EASY) / 1.5, rel=1e-6)
    assert value("ohem", labels, threshold=0.1, min_kept=0.5) == pytest.approx((MIDDLE + 0.5 * EASY) / 1.5, rel=1e-6)
    weight = np.array([[[1, 1], [2, 2]]], np.float32)  # of 6 the hardest 3: all of 2, and half of the next 2
    assert value("top_k", weight=weight, k=0.5) == pytest.approx((2 * HARD + MIDDLE) / 3, rel=1e-6)


def test_images_are_by_themselves() -> None:
    """Half of each image, though all the hard pixels of the two are in the first."""
    labels, logits = np.concatenate([LABELS, LABELS]), np.concatenate([LOGITS, LOGITS])
    logits[1] = logits[1, 0, 0], logits[1, 0, 1]
    expected = ((HARD + MIDDLE) / 2 + EASY) / 2
    assert value("top_k", labels, logits, k=0.5) == pytest.approx(expected, rel=1e-6)


def test_perfect_pixels_stay_in_the_mean() -> None:
    """At a margin of 200 the loss is 0 in float32; by the number of non-zero losses the mean of all would be ln 2."""
    logits = np.array([[[[200, 0], [200, 0]], [[200, 0], [0, 0]]]], np.float32)
    labels = np.zeros((1, 2, 2), np.uint8)
    assert value("top_k", labels, logits, k=1.0) == pytest.approx(MIDDLE / 4, rel=1e-6)
    assert value("top_k", labels, logits, k=0.5) == pytest.approx(MIDDLE / 2, rel=1e-6)
    assert value("ohem", labels, logits, threshold=1.0) == pytest.approx(MIDDLE / 4, rel=1e-6)
    assert value("ohem", labels, logits, min_kept=0.5) == pytest.approx(MIDDLE / 2, rel=1e-6)


@pytest.mark.parametrize("name", ["top_k", "ohem"])
def test_smoothing_does_not_make_sure_pixels_hard(name: str) -> None:
    """Smoothed by .2, a right pixel at a margin of 40 costs .1 * 40, more than the wrong one, but it is not hard."""
    logits = LOGITS.copy()
    logits[0, 0, 0] = [40, 0]
    expected = 0.9 * HARD + 0.1 * EASY
    params = {"k": 0.25} if name == "top_k" else {"threshold": 0.3}
    assert value(name, LABELS, logits, label_smoothing=0.2, **params) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["top_k", "ohem"])
def test_nan_is_not_hidden(name: str) -> None:
    logits = LOGITS.copy()
    logits[0, 0, 0] = np.nan
    assert np.isnan(value(name, LABELS, logits))


def gradient(logits: np.ndarray, **params: Any) -> np.ndarray:
    z = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = losses.get("top_k", **params)(LABELS, z)
    return tape.gradient(loss, z).numpy().reshape(4, 2)


def test_gradient_by_hand() -> None:
    """One pixel and a half: p - g of the last over 1.5, half of that of the third over 1.5, nothing else."""
    expected = np.array([[0, 0], [0, 0], [-0.5 / 3, 0.5 / 3], [0.75 / 1.5, -0.75 / 1.5]])
    np.testing.assert_allclose(gradient(LOGITS, k=0.375), expected, rtol=1e-6, atol=1e-8)


def test_equal_losses_share_the_gradient() -> None:
    """Four equal pixels of which half count: a quarter of p - g each, not a half for two of them."""
    toward = np.array([[-1, 1], [1, -1], [-1, 1], [1, -1]]) * 0.5
    np.testing.assert_allclose(gradient(np.zeros_like(LOGITS), k=0.5), toward / 4, rtol=1e-6)


@pytest.mark.parametrize("k", [0.03, 0.3, 0.9])
def test_against_a_sort_in_float64(k: float) -> None:
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=(1, 40, 50, 3)).astype(np.float32) * 3, rng.integers(0, 3, (1, 40, 50))
    weight = rng.uniform(0.1, 3, labels.shape).astype(np.float32)
    z = logits.astype(np.float64)
    ce = np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, labels[..., None], -1)[..., 0]
    order = np.argsort(-ce.ravel())
    ce, w = ce.ravel()[order], weight.ravel()[order].astype(np.float64)
    part = np.clip(k * w.sum() - (np.cumsum(w) - w), 0, w)
    assert value("top_k", labels, logits, weight, k=k) == pytest.approx((part * ce).sum() / part.sum(), rel=1e-6)


def test_annealing_reaches_a_compiled_step() -> None:
    """Over half of the training the share goes from 1 to .5: at .25 it is 3/4, three pixels of four."""
    loss = losses.get("top_k", k=0.5, anneal=0.5)
    step = tf.function(lambda: loss(LABELS, LOGITS))
    assert loss.scheduled
    steps = [(0.0, CE), (0.25, (HARD + MIDDLE + EASY) / 3), (0.5, (HARD + MIDDLE) / 2), (1.0, (HARD + MIDDLE) / 2)]
    for done, expected in steps:
        loss.set_progress(done)
        assert float(step()) == pytest.approx(expected, rel=1e-6)
    ohem = losses.get("ohem", threshold=0.3, min_kept=0.5, anneal=1.0)
    assert float(ohem(LABELS, LOGITS)) == pytest.approx(CE, rel=1e-6)
    ohem.set_progress(1.0)
    assert float(ohem(LABELS, LOGITS)) == pytest.approx((HARD + MIDDLE) / 2, rel=1e-6)


def test_without_annealing_there_is_nothing_to_tell() -> None:
    loss = losses.get("top_k", k=0.5)
    assert not loss.scheduled
    loss.set_progress(0.0)
    assert float(loss(LABELS, LOGITS)) == pytest.approx((HARD + MIDDLE) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("top_k", {"k": 0.0}, r"k must be in \(0, 1\], got 0.0"),
        ("top_k", {"anneal": -0.1}, r"anneal must be in \[0, 1\]"),
        ("top_k", {"average": "batch"}, "average must be 'image', got 'batch'"),
        ("ohem", {"threshold": 1.5}, r"threshold must be in \(0, 1\]"),
        ("ohem", {"min_kept": 100000}, r"min_kept must be in \(0, 1\], got 100000"),
    ],
)
def test_bad_parameters_are_named(name: str, params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.get(name, **params)
