"""The numbers that others published, by hand; and what is wrong with them."""

import numpy as np
import pytest
import tensorflow as tf

from bench.trial import legacy_iou
from results import class_iou


def logits(*rows: list[float]) -> np.ndarray:
    return np.log(np.array(rows, np.float32))


# A row of three labelled pixels and a void one; probabilities of three classes.
LABELS = np.array([[[0, 1, 2, 255]]], np.uint8)
LOGITS = logits([0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.0001, 0.0001, 0.9998])[None, None]


def test_overlaps_leave_void_out() -> None:
    found = legacy_iou.overlaps(tf.constant(LABELS), tf.constant(LOGITS)).numpy()
    # by class: p of its own pixels; its p over all three labelled pixels; how many it has
    np.testing.assert_allclose(found, [[[0.5, 0.8, 1], [0.8, 1.3, 1], [0.6, 0.9, 1]]], rtol=1e-5)


def test_the_three_numbers_by_hand() -> None:
    overlaps = np.zeros((17, 3, 3))
    overlaps[:, 0] = [2, 3, 4]  # the background: 17 images that are alike
    overlaps[:, 1] = [1, 2, 2]
    overlaps[16, 2] = [1, 1, 4]
    # Foreground, batches of 8, 8 and 1: I / (P + G - I) = 8 / (16 + 16 - 8) twice, then 2 / (3 + 6 - 2).
    soft_iou = (1 / 3 + 1 / 3 + 2 / 7) / 3
    # All classes, batches of 16 and 1: 2 I / (P + G) = 2 * 48 / (80 + 96), then 2 * 4 / (6 + 10).
    soft_dice = (96 / 176 + 8 / 16) / 2
    confusion = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])  # recalls 6/8 and 3/4; class 2 does not occur
    assert legacy_iou.metrics(overlaps, confusion) == {
        "soft_iou": pytest.approx(soft_iou),
        "class_recall": pytest.approx((6 / 8 + 3 / 4) / 2),
        "soft_dice": pytest.approx(soft_dice),
    }


def test_a_batch_without_foreground_counts_as_found() -> None:
    """By the constants that those projects add above and below the line, 1e-15 and 1e-7."""
    nothing = legacy_iou.metrics(np.zeros((1, 2, 3)), np.eye(2))
    assert (nothing["soft_iou"], nothing["soft_dice"]) == (1, 1)
    some = np.array([[[0, 1e-7, 1e-7], [0, 1e-15, 0]]])
    assert legacy_iou.metrics(some, np.eye(2)) == {
        "soft_iou": pytest.approx(1 / 2),
        "soft_dice": pytest.approx(1 / 3, rel=1e-6),
        "class_recall": 1,
    }


def test_soft_dice_over_all_classes_is_the_mean_probability_of_the_truth() -> None:
    """So that two models with the same labels differ by their confidence alone."""
    labels, values = tf.constant(LABELS), []
    for sharpness in (1.0, 3.0):
        found = legacy_iou.overlaps(labels, tf.constant(sharpness * LOGITS)).numpy()
        probability = tf.nn.softmax(sharpness * LOGITS).numpy()[0, 0, [0, 1, 2], [0, 1, 2]]
        values.append(legacy_iou.metrics(found, np.eye(3))["soft_dice"])
        assert values[-1] == pytest.approx(probability.mean(), rel=1e-5)
    assert values[1] > values[0] + 0.2


def test_mean_recall_does_not_see_false_alarms() -> None:
    confusion = np.array([[80, 20], [0, 1]])  # a class of one pixel, and twenty false alarms
    recall = legacy_iou.metrics(np.ones((1, 2, 3)), confusion)["class_recall"]
    assert recall == pytest.approx(0.9)
    assert class_iou(confusion)[1] == pytest.approx(1 / 21)
