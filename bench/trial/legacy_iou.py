"""What three earlier projects published as IoU, computed in their way, so that one can compare their tables with mIoU.

| name | project | what it is |
|---|---|---|
| `soft_iou` | Yuji-github/DeepLabV3-TensorFlow (2022), "IoU" | I / (P + G - I) of the foreground probability, mean over batches of 8 |
| `class_recall` | Golbstein/Keras-segmentation-deeplab-v3.1 (2019), "Mean IOU" | diagonal of the row-normalised confusion matrix, mean over classes |
| `soft_dice` | karolcymerys/oxford-iiit-pets-segmentation (2024), "mIoU" | 2 I / (P + G) over all classes at once, mean over batches of 16 |

I, P and G are the sums over a batch of p g, p and g, with probabilities p and one-hot truth g. Over all classes of a
softmax both P and G are the number of pixels, so that `soft_dice` is the mean probability of the true class: a more
confident model scores higher at equal predictions. `class_recall` does not count false positives. `soft_iou` and
`soft_dice` are computed at the size that the model sees, as in those projects; `class_recall` uses the confusion matrix
of this benchmark, at the label's own size.
"""  # noqa: E501  a table

from __future__ import annotations

import numpy as np
import tensorflow as tf

SOFT_IOU_BATCH, SOFT_DICE_BATCH = 8, 16


def overlaps(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return I, P and G of each image and class.

    Args:
        labels: (B, H, W) integer ids; pixels with an id outside 0..C-1 are void and are left out.
        logits: (B, H, W, C).

    Returns:
        (B, C, 3) float32; the last axis is I, P, G.
    """
    truth = tf.one_hot(labels, logits.shape[-1])
    found = tf.nn.softmax(tf.cast(logits, tf.float32)) * tf.reduce_sum(truth, -1, keepdims=True)
    return tf.stack([tf.reduce_sum(part, axis=(1, 2)) for part in (truth * found, found, truth)], axis=-1)


def metrics(overlaps: np.ndarray, confusion: np.ndarray) -> dict[str, float]:
    """Return `soft_iou`, `class_recall` and `soft_dice` of a split, each in 0..1.

    Args:
        overlaps: (N, C, 3) of `overlaps`, the images in the order of the split; class 0 is the background.
        confusion: (C, C) counts, rows = truth.
    """
    foreground = [part[:, 1:].sum((0, 1)) for part in _batches(overlaps, SOFT_IOU_BATCH)]
    pooled = [part.sum((0, 1)) for part in _batches(overlaps, SOFT_DICE_BATCH)]
    pixels = confusion.sum(1)
    return {
        "soft_iou": float(np.mean([(i + 1e-15) / (p + g - i + 1e-15) for i, p, g in foreground])),
        "class_recall": float(np.mean((np.diag(confusion) / np.maximum(pixels, 1))[pixels > 0])),
        "soft_dice": float(np.mean([(2 * i + 1e-7) / (p + g + 1e-7) for i, p, g in pooled])),
    }


def _batches(overlaps: np.ndarray, size: int) -> list[np.ndarray]:
    """Return consecutive batches of `size` images as float64; the last may be smaller."""
    return [overlaps[start : start + size].astype(np.float64) for start in range(0, len(overlaps), size)]
