"""Confusion matrices and what is computed from them: IoU, Dice, Boundary IoU, and the running mIoU of a training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.core import IGNORE_INDEX
from losses import bincount


def mean_of_known(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def class_dice(confusion: np.ndarray) -> np.ndarray:
    """Return Dice, 2 TP / (2 TP + FP + FN), per class: (C,) float64 in 0..1.

    Args:
        confusion: (C, C) counts, rows = truth. A class with neither truth nor prediction gets NaN.
    """
    confusion = np.asarray(confusion, np.float64)
    hit = np.diag(confusion)
    mass = confusion.sum(0) + confusion.sum(1)
    return np.divide(2 * hit, mass, out=np.full_like(hit, np.nan), where=mass > 0)


def confusion_matrix(truth: tf.Tensor, prediction: tf.Tensor, classes: int) -> tf.Tensor:
    """Count (truth, prediction) pairs. Pixels with truth outside 0..classes-1 are left out.

    Args:
        truth, prediction: integer class ids of one shape.
        classes: number of classes C.

    Returns:
        (C, C) int32, rows = truth.
    """
    return count_pairs(pairs(truth, prediction, classes), classes)


def pairs(truth: tf.Tensor, prediction: tf.Tensor, classes: int) -> tf.Tensor:
    """Return truth * C + prediction, and C * C where truth is outside 0..C-1: int32, in the shape of both."""
    # Not flattened before it is compiled: in TensorFlow 2.15, XLA's loop then takes twice as long.
    truth, prediction = tf.cast(truth, tf.int32), tf.cast(prediction, tf.int32)
    return tf.where((truth >= 0) & (truth < classes), truth * classes + prediction, classes * classes)


def in_turns(found: tf.Tensor, classes: int, turns: int) -> tf.Tensor:
    """Return the result of `pairs` for several counts, to which the columns of pixels go in turns.

    Neighbours are mostly equal, and one count would have to finish each addition before the next one.
    """
    return found + tf.range(tf.shape(found)[-1]) % turns * (classes * classes + 1)


def count_pairs(found: tf.Tensor, classes: int, turns: int = 1) -> tf.Tensor:
    """Return the confusion matrix (C, C) int32 of the result of `pairs`, or of `in_turns`."""
    # Ignored pixels have one bin past the end, which is cut off: cheaper than a boolean mask, and of static shape.
    bins = classes * classes + 1
    counts = tf.reduce_sum(tf.reshape(bincount(tf.reshape(found, [-1]), turns * bins), [turns, bins]), 0)
    return tf.reshape(counts[:-1], [classes, classes])


def boundary_band(labels: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
    """Find the pixels within `distance` (Chebyshev, pixels) of another label or of the image's edge.

    This is the region of Boundary IoU (Cheng et al. 2021, arXiv 2103.16562), the mask without its erosion by a square,
    for all classes at once. A window lies inside one label if and only if no two neighbours in it differ. Differences
    are counted with integral images, so that the cost does not grow with the distance.

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
    """Return the sums of a bool `mask` (H, W) over all (height, width) windows inside it: int32."""
    total = tf.pad(tf.cumsum(tf.cumsum(tf.cast(mask, tf.int32), 0), 1), [[1, 0], [1, 0]])
    return total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]


def score_image(truth: tf.Tensor, prediction: tf.Tensor, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return two confusion matrices of one image: over all pixels, and over the boundary bands.

    In the second, pixels outside their own band count as an extra class, so that row and column sums of the first C
    classes are the two bands of Boundary IoU. The band is 2 % of the image diagonal wide, as in the paper, and at least
    1 pixel. Where the truth is void, the prediction is treated as void, too, so that a border with void lies in both
    bands or in neither.

    Args:
        truth: (H, W) integer ids; those outside 0..C-1 are void.
        prediction: (H, W) integer class ids.
        classes: number of classes C.

    Returns:
        (C, C) and (C+1, C+1) int32, rows = truth.
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
    """Counts an integer confusion matrix over the batches of an epoch, on all replicas. Its result is the mIoU, 0..1.

    Args:
        classes: number of classes C.
        name: of the metric in Keras's logs.
    """

    def __init__(self, classes: int, name: str = "miou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.matrix = self.add_weight(name="matrix", shape=(classes, classes), initializer="zeros", dtype="int64")
        gpu = bool(tf.config.list_logical_devices("GPU"))
        self._turns = 1 if gpu or classes > UNROLLED else TURNS
        # On a CPU the arg-max takes most of this metric's time. XLA fuses it with what follows into one pass.
        self._pairs = tf.function(
            lambda truth, logits: in_turns(pairs(truth, _arg_max(logits), classes), classes, self._turns),
            autograph=False,
            jit_compile=not gpu,
        )

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any = None) -> None:
        """Count a batch.

        Args:
            y_true: (B, H, W) integer ids; those outside 0..C-1 are ignored.
            y_pred: (B, H, W, C) logits, or (B, 2, H, W, C) with those of an auxiliary head second.
            sample_weight: ignored.
        """
        del sample_weight  # weights are for training; every labelled pixel counts once
        y_pred = y_pred[:, 0] if len(y_pred.shape) == 5 else y_pred  # an auxiliary head's logits come second
        found = self._pairs(y_true, y_pred)
        self.matrix.assign_add(tf.cast(count_pairs(found, self.classes, self._turns), tf.int64))

    def result(self) -> tf.Tensor:
        """Return the mIoU over the classes that occur in truth or prediction; 0 if there are none."""
        # `class_iou` in float32 and in the graph: Keras calls this after every batch; the matrix stays on the device.
        matrix = tf.cast(tf.convert_to_tensor(self.matrix), tf.float32)
        hit = tf.linalg.diag_part(matrix)
        union = tf.reduce_sum(matrix, 0) + tf.reduce_sum(matrix, 1) - hit
        seen = tf.cast(union > 0, tf.float32)
        return tf.reduce_sum(tf.math.divide_no_nan(hit, union)) / tf.maximum(1.0, tf.reduce_sum(seen))

    def reset_state(self) -> None:
        """Set all counts to zero."""
        self.matrix.assign(tf.zeros((self.classes, self.classes), tf.int64))

    def counts(self) -> np.ndarray:
        """Return the matrix so far, (C, C) int64, rows = truth."""
        return np.asarray(tf.convert_to_tensor(self.matrix))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


UNROLLED = 32
"""Most classes of the unrolled arg-max, and of several counts."""
TURNS = 4
"""Counts that take turns."""


def _arg_max(logits: tf.Tensor) -> tf.Tensor:
    """Return the arg-max over the last axis, (..., C) to (...) int32; the first one among equals.

    On a CPU, for up to 32 classes, it is an unrolled chain of comparisons, which XLA vectorises.
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
