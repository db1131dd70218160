"""Scores that follow from a confusion matrix."""

import numpy as np


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """Return the intersection over union per class, TP / (TP + FP + FN).

    >>> class_iou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    array([0.75, 0.8 ,  nan])

    Args:
        confusion: (C, C) counts of pixels, rows = truth, columns = prediction.

    Returns:
        (C,) float64 in 0..1; NaN for a class that occurs neither in truth nor in prediction.
    """
    confusion = np.asarray(confusion, np.float64)
    hit = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hit
    return np.divide(hit, union, out=np.full_like(hit, np.nan), where=union > 0)


def mean_iou(confusion: np.ndarray) -> float:
    """Return the mean of `class_iou` over the classes that occur; NaN when none does.

    >>> mean_iou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    0.775
    """
    iou = class_iou(confusion)
    occurs = ~np.isnan(iou)
    return float(iou[occurs].mean()) if occurs.any() else float("nan")
