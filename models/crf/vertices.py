"""The vertices around the points of a lattice, numbered, and who is next to whom."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from models.compat import AFTER_TF_2_15
from models.crf.codes import Naming, codes, naming
from models.crf.simplices import Simplices

ROOM = 16
"""Largest size of a table of all possible codes, per code that occurs; beyond it the vertices are hashed."""


class Vertices(NamedTuple):
    """M vertices, and number M, which stands for none.

    Attributes:
        of_points: integers (d + 1, N), the vertices around each point.
        neighbours: integers (d + 1, 2, M + 1), the previous and the next vertex along each axis; M where there is none.
    """

    of_points: tf.Tensor
    neighbours: tf.Tensor


def numbered(simplices: Simplices) -> Vertices:
    """Number the vertices around the points: int32, or int64 where there is a GPU, which computes in no other."""
    names = naming(simplices)
    dtype = tf.int64 if tf.config.list_logical_devices("GPU") else tf.int32
    most = tf.constant(ROOM * len(simplices.ranking), tf.int64) * tf.size(simplices.ranking[0], tf.int64)
    of_points, following = tf.cond(
        names.size <= tf.minimum(most, 2**31 - 1),
        lambda: _by_table(codes(simplices, names, dtype), names),
        lambda: _by_hashing(codes(simplices, names, tf.int64), names, dtype),
    )
    return Vertices(of_points, _both_ways(following))


def _by_table(codes: tf.Tensor, names: Naming) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the vertices (d + 1, N) of codes, and the next one of each along the axes (d + 1, M), M if none."""
    flat, size, steps = tf.reshape(codes, [-1, 1]), names.size[None], tf.cast(names.steps, codes.dtype)
    vertices = tf.cast(tf.where(_seen(flat, size)), codes.dtype)
    count = tf.size(vertices, codes.dtype)
    table = tf.tensor_scatter_nd_update(tf.fill(size, count), vertices, tf.range(count))
    return tf.gather(table, codes), tf.gather(table, vertices[:, 0] + steps[:, None])


def _seen(flat: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return which of the codes 0..size-1 are among the codes (n, 1): bool."""
    if not AFTER_TF_2_15 or tf.config.list_logical_devices("GPU"):
        return tf.tensor_scatter_nd_update(tf.zeros(size, tf.bool), flat, tf.ones_like(flat[:, 0], tf.bool))
    # The same takes twice as long here, and this, which takes more work in all, no longer than there.
    none = tf.zeros([0], tf.int32)
    size = tf.cast(size[0], flat.dtype)
    return tf.cast(tf.raw_ops.DenseBincount(input=flat[:, 0], size=size, weights=none, binary_output=True), tf.bool)


def _by_hashing(codes: tf.Tensor, names: Naming, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the same as `_by_table`, however large the codes are."""
    order = codes.shape[0]
    vertices, of_points = tf.unique(tf.reshape(codes, [-1]), dtype)
    count = tf.size(vertices, dtype)
    _, found = tf.unique(tf.concat([vertices, tf.reshape(vertices + names.steps[:, None], [-1])], 0), dtype)
    following = tf.minimum(tf.reshape(found[count:], tf.stack([order, count])), count)
    return tf.reshape(of_points, [order, -1]), following


def _both_ways(following: tf.Tensor) -> tf.Tensor:
    """Return the neighbours (d + 1, 2, M + 1) from the next vertices (d + 1, M)."""
    count = tf.shape(following, following.dtype)[1]
    both = []
    for ahead in tf.unstack(following, num=following.shape[0]):
        none = tf.fill([count + 1], count)
        behind = tf.tensor_scatter_nd_update(none, ahead[:, None], tf.range(count))
        both.append(tf.stack([tf.concat([behind[:-1], [count]], 0), tf.concat([ahead, [count]], 0)]))
    return tf.stack(both)
