"""Confusion matrices and what is computed from them: IoU, Dice, Boundary IoU, and the running mIoU of a training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.core import IGNORE_INDEX
from losses import bincount


def mean_of_known(values: np.ndarray) -> float:
    """Return the mean of what is not NaN, NaN if there is nothing else."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def class_dice(confusion: np.ndarray) -> np.ndarray:
    """Return 2 TP / (2 TP + FP + FN) per class, (C,) float64; NaN where the class occurs nowhere."""
    confusion = np.asarray(confusion, np.float64)
    hit = np.diag(confusion)
    mass = confusion.sum(0) + confusion.sum(1)
    return np.divide(2 * hit, mass, out=np.full_like(hit, np.nan), where=mass > 0)


def confusion_matrix(truth: tf.Tensor, prediction: tf.Tensor, classes: int) -> tf.Tensor:
    """Count (truth, prediction) pairs, pixels with truth outside 0..classes-1 left out.

    Args:
        truth, prediction: integer class ids of one shape.
        classes: number of classes C.

    Returns:
        (C, C) int32, rows = truth.
    """
    return count_pairs(pairs(truth, prediction, classes), classes)


def pairs(truth: tf.Tensor, prediction: tf.Tensor, classes: int) -> tf.Tensor:
    """Return (pixels,) int32: truth * C + prediction, and C * C where truth is outside 0..C-1."""
    truth = tf.reshape(tf.cast(truth, tf.int32), [-1])
    prediction = tf.reshape(tf.cast(prediction, tf.int32), [-1])
    return tf.where((truth >= 0) & (truth < classes), truth * classes + prediction, classes * classes)


def count_pairs(found: tf.Tensor, classes: int) -> tf.Tensor:
    """Return the confusion matrix (C, C) int32 of what `pairs` gave."""
    # What is ignored has one bin past the end, which is cut off: cheaper than a boolean mask, and of static shape.
    return tf.reshape(bincount(found, classes * classes + 1)[:-1], [classes, classes])


def boundary_band(labels: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
    """Find the pixels within `distance` (Chebyshev, pixels) of another label or of the picture's edge.

    This is the region of Boundary IoU (Cheng et al. 2021, arXiv 2103.16562), the mask less its erosion by a square, for
    all classes at once: a window lies inside one label exactly when no two neighbours in it differ, and differences are
    counted with integral images, so that the cost does not grow with the distance.

    Args:
        labels: (H, W) integer ids.
        distance: scalar int32, at least 1.

    Returns:
        (H, W) bool.
    """
    labels = tf.pad(labels, [[distance, distance], [distance, distance]], constant_values=-1)
    across = _window_sums(labels[:, 1:] != labels[:, :-1], 2 * distance + 1, 2 * distance)
    down = _window_sums(labels[1:, :] != labels[:-1, :], 2 * distance, 2 * distance + 1)
    return (across + down) > 0


def _window_sums(mask: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Return the sums of `mask` over all (height, width) windows that lie inside it."""
    total = tf.pad(tf.cumsum(tf.cumsum(tf.cast(mask, tf.int32), 0), 1), [[1, 0], [1, 0]])
    return total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]


def score_image(truth: tf.Tensor, prediction: tf.Tensor, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the confusion matrices of one image: over all pixels (C, C), and over the boundary bands (C+1, C+1).

    In the second, pixels outside their own band count as an extra class, so that row and column sums of the first C
    classes are the two bands of Boundary IoU. The band is 2 % of the image diagonal wide, as in the paper. Where the
    truth is void the prediction is taken to be, too, so that a border with void lies in both bands or in neither.
    """
    truth, prediction = tf.cast(truth, tf.int32), tf.cast(prediction, tf.int32)
    diagonal = tf.norm(tf.cast(tf.shape(truth), tf.float32))
    distance = tf.maximum(1, tf.cast(tf.round(0.02 * diagonal), tf.int32))
    truth_band = tf.where(boundary_band(truth, distance), truth, classes)
    seen = tf.where(truth < classes, prediction, truth)
    predicted_band = tf.where(boundary_band(seen, distance), prediction, classes)
    truth_band = tf.where(truth < classes, truth_band, IGNORE_INDEX * IGNORE_INDEX)
    return confusion_matrix(truth, prediction, classes), confusion_matrix(truth_band, predicted_band, classes + 1)


@keras.utils.register_keras_serializable(package="segmentation_bench")
class RunningConfusion(keras.metrics.Metric):
    """Counts an integer confusion matrix over the batches of an epoch, on all replicas; its result is the mIoU."""

    def __init__(self, classes: int, name: str = "miou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.matrix = self.add_weight(name="matrix", shape=(classes, classes), initializer="zeros", dtype="int64")
        # On a CPU the arg-max takes most of this metric's time; XLA makes one pass of it and what follows.
        self._pairs = tf.function(
            lambda truth, logits: pairs(truth, _arg_max(logits), classes),
            autograph=False,
            jit_compile=not tf.config.list_logical_devices("GPU"),
        )

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any = None) -> None:
        del sample_weight  # weights steer the training; every labelled pixel counts once
        y_pred = y_pred[:, 0] if len(y_pred.shape) == 5 else y_pred  # an auxiliary head's logits come second
        self.matrix.assign_add(tf.cast(count_pairs(self._pairs(y_true, y_pred), self.classes), tf.int64))

    def result(self) -> tf.Tensor:
        # `class_iou` in float32 and in the graph: Keras asks after every batch, of matrices that stay on the device.
        matrix = tf.cast(tf.convert_to_tensor(self.matrix), tf.float32)
        hit = tf.linalg.diag_part(matrix)
        union = tf.reduce_sum(matrix, 0) + tf.reduce_sum(matrix, 1) - hit
        seen = tf.cast(union > 0, tf.float32)
        return tf.reduce_sum(tf.math.divide_no_nan(hit, union)) / tf.maximum(1.0, tf.reduce_sum(seen))

    def reset_state(self) -> None:
        self.matrix.assign(tf.zeros((self.classes, self.classes), tf.int64))

    def counts(self) -> np.ndarray:
        """Return the matrix so far, (C, C) int64, rows = truth."""
        return np.asarray(tf.convert_to_tensor(self.matrix))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


UNROLLED = 32


def _arg_max(logits: tf.Tensor) -> tf.Tensor:
    """Bring (..., C) to (...) int32, the first among equals.

    Of up to 32 classes it is an unrolled chain, which XLA vectorises.
    """
    classes = logits.shape[-1]
    if classes > UNROLLED or tf.config.list_logical_devices("GPU"):
        return tf.argmax(logits, -1, output_type=tf.int32)
    most = logits[..., 0]
    found = tf.zeros_like(most, tf.int32)
    for one in range(1, classes):
        value = logits[..., one]
        found, most = tf.where(value > most, one, found), tf.maximum(value, most)
    return found
