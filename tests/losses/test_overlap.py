"""The counts that overlap losses are made of: sums of many pixels, and the gradient that is written by hand."""

import numpy as np
import pytest
import tensorflow as tf

from losses.core.overlap import overlap

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("exclusive", [False, True], ids=["any", "exclusive"])
@pytest.mark.parametrize("average", ["image", "batch"])
def test_counts_of_half_a_million_pixels(average: str, exclusive: bool) -> None:
    """float32 sums taken in one go are off by 1e-5 here."""
    classes, shape = 3, (2, 512, 512)
    p = tf.nn.softmax(RNG.normal(size=(*shape, classes)).astype(np.float32))
    ids = RNG.integers(0, classes, shape).astype(np.int32)
    weight = RNG.uniform(0, 2, shape).astype(np.float32)
    counts = overlap(p, tf.constant(ids), tf.constant(weight), average, exclusive=exclusive)
    axes = (1, 2) if average == "image" else (0, 1, 2)
    q, g, w = np.float64(p), np.eye(classes)[ids], np.float64(weight)[..., None]
    for count, term in zip(counts, (q * g, q * (1 - g), (1 - q) * g, (1 - q) * (1 - g)), strict=True):
        np.testing.assert_allclose(count, (w * term).sum(axes).reshape(count.shape), rtol=2e-6)


@pytest.mark.parametrize("exclusive", [False, True], ids=["any", "exclusive"])
@pytest.mark.parametrize("classes", [4, 65])  # up to 64 classes a softmax has counts of its own
@pytest.mark.parametrize("soft", [False, True], ids=["ids", "shares"])
@pytest.mark.parametrize("average", ["image", "batch"])
def test_gradient_of_counts(soft: bool, average: str, classes: int, exclusive: bool) -> None:
    """A random function of all four counts against the sums as their definition has them."""
    shape = (2, 5, 3)
    p = tf.nn.softmax(RNG.normal(size=(*shape, classes)).astype(np.float32))
    shares = tf.nn.softmax(RNG.normal(size=(*shape, classes)).astype(np.float32))
    ids = tf.constant(RNG.integers(0, classes, shape), tf.int32)
    g = shares if soft else tf.one_hot(ids, classes)
    weight = tf.constant(RNG.uniform(0, 2, shape), tf.float32)
    factors = RNG.normal(size=(4, 2 if average == "image" else 1, classes)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(p)
        counts = overlap(p, g if soft else ids, weight, average, exclusive=exclusive)
        value = tf.reduce_sum(factors * tf.stack(counts))
    low, high = np.minimum(p, g), np.maximum(p, g)
    sums = [
        (weight[..., None].numpy() * term).sum((1, 2)) for term in (low, high - g.numpy(), g.numpy() - low, 1 - high)
    ]
    expected = sum(
        (factor * (count if average == "image" else count.sum(0))).sum()
        for factor, count in zip(factors, sums, strict=True)
    )
    assert float(value) == pytest.approx(expected, rel=1e-5)
    tp, fp, fn, tn = (factor[:, None, None] for factor in factors)
    # Where p > g only fp = p - g and tn = 1 - p move with p; elsewhere tp = p and fn = g - p.
    slope = np.where(p.numpy() > g.numpy(), fp - tn, tp - fn) * weight.numpy()[..., None]
    np.testing.assert_allclose(tape.gradient(value, p), slope, rtol=1e-5, atol=1e-6)
