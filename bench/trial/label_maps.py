"""Scores of label maps that are there already, computed as those of a trained model are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from bench.data import Slice
from bench.trial.evaluator import Scores
from bench.trial.metrics import mean_of_known, score_image
from results import class_iou


def score_label_maps(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], classes: int, slices: Sequence[Slice] = ()
) -> Scores:
    """Score predicted label maps against the truth, each at its own size.

    Loss and seconds are unknown: NaN and 0.

    Args:
        pairs: truth and prediction of each image, both (H, W) uint8; truth outside 0..C-1 is void.
        classes: number of classes C.
        slices: of the images, which are scored on their own, too.
    """
    any_size = tf.TensorSpec((None, None), tf.uint8)

    @tf.function(input_signature=[any_size, any_size], autograph=False)
    def score(truth: tf.Tensor, prediction: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return score_image(truth, prediction, classes)

    confusion = np.zeros((classes, classes), np.int64)
    boundary = np.zeros((classes + 1, classes + 1), np.int64)
    sliced = np.zeros((len(slices), classes, classes), np.int64)
    mious: list[float] = []
    for position, (truth, prediction) in enumerate(pairs):
        whole, near = (matrix.numpy().astype(np.int64) for matrix in score(truth, prediction))
        confusion += whole
        boundary += near
        sliced[[position in one.positions for one in slices]] += whole
        mious.append(mean_of_known(class_iou(whole)))
    return Scores(confusion, boundary, np.array(mious), math.nan, len(mious), 0.0, slices=sliced)
