"""Gaussian filtering in d dimensions on the permutohedral lattice (Adams, Baek and Davis 2010), in TensorFlow.

Points of feature space lie in simplices of a lattice. The value of a point is spread over the d + 1 vertices of its
simplex (splat). The vertices are blurred with (1/2, 1, 1/2) along each of the d + 1 axes. Then the point reads its
vertices back (slice). Up to a constant, this approximates convolution with a Gaussian of unit variance, in time linear
in the points.

Splat and slice are one sparse matrix and its transpose. The size of the lattice depends on the data: graphs and
SavedModels can hold it, XLA cannot.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import config  # the only place that says whether operations are deterministic


class Lattice(NamedTuple):
    """A filter over N points through M vertices.

    Attributes:
        shares: sparse float32 (N, M), the share of each point in its vertices.
        blurs: one symmetric sparse float32 (M, M) per axis: each vertex and half of its two neighbours.
    """

    shares: tf.SparseTensor
    blurs: tuple[tf.SparseTensor, ...]


def build(features: tf.Tensor, inside: tf.Tensor | None = None) -> Lattice:
    """Build the lattice of float32 features (B, P, d), in standard deviations, for B * P points.

    The B images share no vertex, so one product filters them all. Points that are not `inside` (B, P) send nothing,
    receive nothing and make no vertex. The first point of each image must be inside.
    """
    if inside is not None:
        features = tf.where(inside[..., None], features, features[:, :1])
    dimensions = features.shape[-1]
    points = tf.shape(features, tf.int64)[0] * tf.shape(features, tf.int64)[1]
    codes, shares, steps = _simplices(features)
    vertices, columns = tf.unique(tf.reshape(codes, [-1]), tf.int64)
    rows = tf.repeat(tf.range(points), dimensions + 1)
    # The factor 1 / (1 + 2 ** -d) of Adams's code: its square root at the splat, and again at the slice.
    values = tf.reshape(shares, [-1]) / math.sqrt(1 + 2**-dimensions)
    if inside is not None:
        values = tf.where(tf.repeat(tf.reshape(inside, [-1]), dimensions + 1), values, 0.0)
    shape = tf.stack([points, tf.size(vertices, tf.int64)])
    return Lattice(tf.SparseTensor(tf.stack([rows, columns], 1), values, shape), _blurs(vertices, steps))


def _elevated(features: tf.Tensor) -> tf.Tensor:
    """Return features (B, P, d) as coordinates (B, P, d + 1) in the hyperplane of sum 0 (page 5 of the paper).

    They are scaled so that splat, blur and slice together have unit variance. Which vertices exist depends on single
    bits, above all where colours are whole numbers. So the roundings are those of Adams's code: do not change this
    order of float32 operations.
    """
    order = features.shape[-1] + 1
    ranks = np.arange(1, order)
    scale = float(np.float32(math.sqrt(2 / 3) * order)) / np.sqrt(ranks * (ranks + 1.0))
    scaled = tf.pad(features * tf.constant(scale, tf.float32), [[0, 0], [0, 0], [1, 0]])
    return _sum_of_later(scaled) - tf.range(order, dtype=tf.float32) * scaled


def _sum_of_later(values: tf.Tensor) -> tf.Tensor:
    """Return, at each place of the last axis, the sum of the later ones, from the end on: a cumsum in half the time."""
    columns = tf.unstack(values, axis=-1)
    sums = [tf.zeros_like(columns[0])]
    for column in columns[:0:-1]:
        sums.append(sums[-1] + column)
    return tf.stack(sums[::-1], -1)


def _simplices(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return codes and shares (B, P, d + 1) of the vertices around each point, and the code steps (d + 1,) of the axes.

    A code packs the image and the first d coordinates of a vertex into one int64. The last one follows from them.
    """
    order = features.shape[-1] + 1
    position = _elevated(features)
    nearest = tf.round(position * (1 / order))
    residuals, ranking = tf.math.top_k(position - order * nearest, order)
    shares = (residuals - tf.concat([residuals[..., 1:], residuals[..., :1] - order], -1)) / order

    cell = tf.cast(nearest, tf.int64)
    strides, image_stride = _strides(cell)
    images = tf.range(tf.shape(features, tf.int64)[0])[:, None, None] * image_stride
    # Vertex s is `order * cell`, with the coordinates whose residual is smaller than the s-th lowered by `order`. Then
    # all coordinates are shifted equally, back to the hyperplane of sum 0.
    total = tf.reduce_sum(strides)
    lowered = order * _sum_of_later(tf.gather(strides, ranking))
    moved = (tf.range(order - 1, -1, -1, tf.int64) - tf.reduce_sum(cell, -1, keepdims=True)) * total
    codes = order * tf.reduce_sum(cell * strides, -1, keepdims=True) + images + moved - lowered
    return codes, shares, total - order * strides


def _strides(cell: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the factors (d + 1,) of the coordinates in a code (0 for the last one), and the factor of the image."""
    order = cell.shape[-1]
    flat = tf.reshape(cell, [-1, order])
    # No coordinate of a vertex is 3/2 `order` away from `order * cell`, and a neighbour's is less than `order` further.
    extents = order * (tf.reduce_max(flat, 0) - tf.reduce_min(flat, 0) + 5)[:-1]
    bits = tf.reduce_sum(tf.math.log(tf.cast(extents, tf.float64))) / math.log(2)
    bits += tf.math.log(tf.cast(tf.shape(cell)[0], tf.float64)) / math.log(2)
    message = "standard deviations too small for this image: the codes of the lattice exceed 63 bits"
    tf.debugging.assert_less(bits, tf.constant(63, bits.dtype), message)
    return tf.concat([tf.math.cumprod(extents, exclusive=True), [0]], 0), tf.reduce_prod(extents)


def _blurs(vertices: tf.Tensor, steps: tf.Tensor) -> tuple[tf.SparseTensor, ...]:
    """Return per axis the matrix (M, M): 1 for a vertex, 1/2 for the previous and the next one, where they exist."""
    count = tf.size(vertices, tf.int64)
    _, found = tf.unique(tf.concat([vertices, tf.reshape(vertices + steps[:, None], [-1])], 0), tf.int64)
    blurs = []
    for following in tf.unstack(tf.reshape(found, [-1, count]), num=steps.shape[0] + 1)[1:]:
        ahead = tf.where(following < count)
        pairs = tf.concat([ahead, tf.gather(following, ahead)], 1)
        indices = tf.concat([tf.repeat(tf.range(count)[:, None], 2, 1), pairs, tf.reverse(pairs, [1])], 0)
        values = tf.concat([tf.ones([count]), tf.fill([2 * tf.shape(pairs)[0]], 0.5)], 0)
        blurs.append(tf.SparseTensor(indices, values, tf.stack([count, count])))
    return tuple(blurs)


def filtered(lattice: Lattice, values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return `weight` times the filtered float32 values (N, C), differentiable in both."""

    @tf.custom_gradient
    def apply(values: tf.Tensor, weight: tf.Tensor) -> Any:
        blurred = blur(lattice, splat(lattice, values))

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            splatted = splat(lattice, upstream)
            transposed = slice_(lattice, weight * blur(lattice, splatted, reverse=True))
            return transposed, tf.reduce_sum(splatted * blurred)

        return slice_(lattice, weight * blurred), gradient

    return apply(values, weight)


def splat(lattice: Lattice, values: tf.Tensor) -> tf.Tensor:
    """Return values of vertices (M, C) from values of points (N, C)."""
    return _product(lattice.shares, values, adjoint_a=True)


def slice_(lattice: Lattice, values: tf.Tensor) -> tf.Tensor:
    """Return values of points (N, C) from values of vertices (M, C)."""
    return _product(lattice.shares, values)


def _product(matrix: tf.SparseTensor, values: tf.Tensor, adjoint_a: bool = False) -> tf.Tensor:
    """Multiply a sparse matrix by values; on the host where operations must be deterministic: a GPU then refuses it."""
    with tf.device("CPU:0") if config.is_op_determinism_enabled() else contextlib.nullcontext():
        return tf.sparse.sparse_dense_matmul(matrix, values, adjoint_a=adjoint_a)


def blur(lattice: Lattice, values: tf.Tensor, reverse: bool = False) -> tf.Tensor:
    """Blur along the axes in order. They do not commute where vertices are missing: reversed, it is the transpose."""
    for matrix in reversed(lattice.blurs) if reverse else lattice.blurs:
        values = _product(matrix, values)
    return values


def normalised(lattice: Lattice) -> Lattice:
    """Return the lattice of filter D K D from that of K; D = diag(K 1) ** -1/2 (pydensecrf's `NORMALIZE_SYMMETRIC`)."""
    ones = tf.ones([lattice.shares.dense_shape[0], 1])
    factors = tf.math.rsqrt(filtered(lattice, ones, tf.constant(1.0)) + 1e-20)[:, 0]
    values = lattice.shares.values * tf.gather(factors, lattice.shares.indices[:, 0])
    return lattice._replace(shares=lattice.shares.with_values(values))


def repeated(lattice: Lattice, times: tf.Tensor) -> Lattice:
    """Return the lattice of `times` images that have the same features."""
    return Lattice(_diagonal(lattice.shares, times), tuple(_diagonal(blur, times) for blur in lattice.blurs))


def _diagonal(matrix: tf.SparseTensor, times: tf.Tensor) -> tf.SparseTensor:
    """Return the block diagonal matrix of `times` equal blocks."""
    corners = tf.range(tf.cast(times, tf.int64))[:, None, None] * matrix.dense_shape
    indices = tf.reshape(matrix.indices + corners, [-1, 2])
    return tf.SparseTensor(indices, tf.tile(matrix.values, [times]), matrix.dense_shape * tf.cast(times, tf.int64))
