"""The one form of labels, predictions and weights, and what is refused before it."""

from collections.abc import Callable
from math import log

import numpy as np
import pytest
import tensorflow as tf

import losses
from losses.core import inputs

LOGITS = np.zeros((1, 2, 3, 3), np.float32)
ONE_CHANNEL = LOGITS[..., :1]
IDS = np.array([[[0, 1, 2], [255, 1, 0]]], np.uint8)
VALID = np.array([[[1, 1, 1], [0, 1, 1]]], np.float32)


def test_probabilities_become_logits_that_are_finite() -> None:
    """Nothing is below the logarithm of 1e-30, far below the float32 spacing at 1."""
    p = tf.constant([[[[1.0, 0.0], [0.25, 0.75]]]])
    least = log(1e-30)
    np.testing.assert_allclose(inputs.as_logits(p, False, "softmax")[0, 0], [[0, least], [log(0.25), log(0.75)]], 1e-6)
    np.testing.assert_allclose(inputs.as_logits(p, False, "sigmoid")[0, 0], [[-least, least], [-log(3), log(3)]], 1e-6)


def test_targets_and_the_mask_of_what_is_not_void() -> None:
    ids, valid = inputs.as_targets(tf.constant(IDS), tf.constant(LOGITS), 255)
    assert (ids.dtype, ids.numpy().tolist()) == (tf.int32, [[[0, 1, 2], [0, 1, 0]]])
    np.testing.assert_array_equal(valid, VALID)
    np.testing.assert_array_equal(inputs.as_targets(tf.constant(IDS[..., None]), tf.constant(LOGITS), 255)[0], ids)
    # Soft labels are void where all shares are zero.
    shares, valid = inputs.as_targets(np.eye(4)[np.minimum(IDS, 3)][..., :3], tf.constant(LOGITS), 255)
    assert (shares.dtype, shares.shape) == (tf.float32, (1, 2, 3, 3))
    np.testing.assert_array_equal(valid, VALID)
    # One channel: the share of foreground, and 0 under void.
    share, valid = inputs.as_targets(np.array([[[0, 0.5, 1], [255, 1, 0]]]), tf.constant(ONE_CHANNEL), 255)
    np.testing.assert_array_equal(share[..., 0], [[[0, 0.5, 1], [0, 1, 0]]])
    np.testing.assert_array_equal(valid, VALID)
    every = inputs.as_targets(np.minimum(IDS, 1), tf.constant(ONE_CHANNEL), None)[1]
    np.testing.assert_array_equal(every, np.ones_like(VALID))


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (None, VALID),
        (2.0, 2 * VALID),
        ([3.0], 3 * VALID),
        ([[3.0]], 3 * VALID),
        (np.arange(6.0).reshape(1, 2, 3), [[[0, 1, 2], [0, 4, 5]]]),
        (np.arange(6.0).reshape(1, 2, 3, 1), [[[0, 1, 2], [0, 4, 5]]]),
    ],
)
def test_weights_of_every_form_are_of_pixels_and_zero_on_void(weight: object, expected: object) -> None:
    found = inputs.as_pixel_weights(weight, tf.constant(VALID))  # type: ignore[arg-type]
    np.testing.assert_array_equal(tf.broadcast_to(found, VALID.shape), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inputs.as_logits(LOGITS[0], True, "softmax"), r"predictions must have shape \(B,H,W,C\)"),
        (lambda: inputs.as_targets(IDS[..., :2], LOGITS, 255), "differ in height or width"),
        (lambda: inputs.as_targets(IDS[:, :1], LOGITS, 255), "differ in height or width"),
        (lambda: inputs.as_targets(IDS[0], LOGITS, 255), "labels must be class ids"),
        (lambda: inputs.as_targets(-1 - 0 * IDS.astype(int), LOGITS, 255), r"class ids -1 outside 0\.\.2"),
        (lambda: inputs.as_targets(IDS + np.uint8(3), LOGITS, 2), r"class ids 3, 4, 5 outside 0\.\.2 \(void is 2\)"),
        (lambda: inputs.as_targets(np.array([[[9, 8, 7], [5, 4, 6]]]), LOGITS, 255), "class ids 4, 5, 6, 7, 8 outside"),
        (lambda: inputs.as_targets(-0.5 + 0.0 * IDS, ONE_CHANNEL, 255), "got -0.5 to -0.5"),
        (lambda: inputs.as_targets(np.array([[[0, 1, 1.5]] * 2]), ONE_CHANNEL, 255), "got 0 to 1.5"),
        (lambda: inputs.as_pixel_weights(np.ones((1, 3, 2)), VALID), "sample_weight must have shape"),
        (lambda: inputs.as_pixel_weights(np.ones((1, 2, 3, 2)), VALID), "sample_weight must have shape"),
        (lambda: losses.get("dice", classes=[3])(IDS, LOGITS), "classes has id 3 for 3 classes"),
        (lambda: losses.get("wasserstein_dice", background=3)(IDS, LOGITS), "background is class 3 of 3 classes"),
    ],
)
def test_what_does_not_fit_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_parameters_are_given_by_name() -> None:
    for name in losses.names():
        with pytest.raises(TypeError):
            type(losses.get(name))("none")


def test_a_loss_is_written_with_what_was_chosen() -> None:
    assert repr(losses.get("dice")) == "Dice()"
    assert repr(losses.get("tversky", alpha=0.5, average="image")) in (
        "Tversky(average='image', alpha=0.5)",
        "Tversky(alpha=0.5, average='image')",
    )
