"""Points of feature space in the permutohedral lattice: the simplices around them, and their shares in the vertices.

A coordinate of all points is one tensor (N,), and every operation runs over such a tensor. This is several times as
fast as operations over a last axis of d + 1.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Simplices(NamedTuple):
    """Where N points lie in the lattice.

    Attributes:
        digits: d tensors float32 (N,), the differences between consecutive coordinates of the point of remainder 0
            that is nearest, whole numbers in units of d + 1.
        ranking: d + 1 tensors int32 (N,), the coordinates by their distance from it, the largest first.
        shares: d + 1 tensors float32 (N,), the share of the point in each vertex; they sum to 1.
    """

    digits: list[tf.Tensor]
    ranking: list[tf.Tensor]
    shares: list[tf.Tensor]


def simplices(features: tf.Tensor) -> Simplices:
    """Return where features (N, d), in standard deviations, lie in the lattice (page 5 of the paper)."""
    position = _elevated(tf.unstack(features, axis=-1))
    order = len(position)
    nearest = [tf.round(coordinate * (1 / order)) for coordinate in position]
    residuals, ranking = _ranked([there - order * cell for there, cell in zip(position, nearest, strict=True)])
    following = [*residuals[1:], residuals[0] - order]
    shares = [(residual - after) / order for residual, after in zip(residuals, following, strict=True)]
    digits = [after - cell for cell, after in itertools.pairwise(nearest)]
    return Simplices(digits, ranking, shares)


def _elevated(features: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return the d + 1 coordinates of d features in the hyperplane of sum 0.

    They are scaled so that splat, blur and slice together have unit variance. Which vertices exist depends on single
    bits, above all where colours are whole numbers. So the roundings are those of Adams's code: do not change this
    order of float32 operations.
    """
    order = len(features) + 1
    ranks = np.arange(1, order)
    scale = float(np.float32(math.sqrt(2 / 3) * order)) / np.sqrt(ranks * (ranks + 1.0))
    later = tf.zeros_like(features[0])
    position = []
    for rank in range(order - 1, 0, -1):
        scaled = features[rank - 1] * np.float32(scale[rank - 1])
        position.append(later - rank * scaled)
        later = later + scaled
    return [later, *position[::-1]]


def _ranked(values: list[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Sort tensors element by element, the largest first; return them, and which one each came from (int32).

    Of equal values the first stays first: neighbours are exchanged only where the later one is larger.
    """
    # In float32, because TensorFlow chooses between whole numbers more than twice as slowly.
    values, places = list(values), [tf.fill(tf.shape(values[0]), float(i)) for i in range(len(values))]
    for last in range(1, len(values)):
        for here in range(last, 0, -1):
            (one, other), (place, from_) = values[here - 1 : here + 1], places[here - 1 : here + 1]
            swap = other > one
            values[here - 1 : here + 1] = [tf.maximum(one, other), tf.minimum(one, other)]
            places[here - 1 : here + 1] = [tf.where(swap, from_, place), tf.where(swap, place, from_)]
    return values, [tf.cast(place, tf.int32) for place in places]
