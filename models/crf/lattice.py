"""Gaussian filtering in d dimensions on the permutohedral lattice (Adams, Baek and Davis 2010), in TensorFlow.

Points of feature space lie in simplices of a lattice. A value is spread over the d + 1 vertices of its simplex (splat),
the vertices are blurred with (1/2, 1, 1/2) along each of the d + 1 axes, and the point reads its vertices back (slice):
convolution with a Gaussian of unit variance, approximately and up to a constant, in time linear in the points.

Splat and slice are one sparse matrix and its transpose. The lattice has a size that depends on the data, so that graphs
and SavedModels can hold it and XLA cannot.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Lattice(NamedTuple):
    """A filter over N points, with M vertices and one more that stays zero and stands for every missing neighbour.

    Attributes:
        splat: sparse float32 (N, M + 1), the share of each point in its vertices.
        neighbours: int32 (d + 1, 2, M + 1), the next vertex and the last one along each axis.
    """

    splat: tf.SparseTensor
    neighbours: tf.Tensor


def build(features: tf.Tensor) -> Lattice:
    """The lattice of float features (B, P, d), in standard deviations, for B * P points.

    The B images share no vertex, so that one product filters them all.
    """
    dimensions = features.shape[-1]
    points = tf.shape(features, tf.int64)[0] * tf.shape(features, tf.int64)[1]
    codes, shares, steps = _simplices(features)
    vertices, columns = tf.unique(tf.reshape(codes, [-1]), tf.int64)
    rows = tf.repeat(tf.range(points), dimensions + 1)
    # Both the splat and the slice take a square root of the constant by which the blur exceeds a unit response.
    values = tf.reshape(shares, [-1]) / math.sqrt(1 + 2**-dimensions)
    size = tf.size(vertices, tf.int64)
    splat = tf.SparseTensor(tf.stack([rows, columns], 1), values, tf.stack([points, size + 1]))
    return Lattice(splat, _neighbours(vertices, steps))


def _elevation(dimensions: int) -> np.ndarray:
    """The (d, d + 1) map of features into the hyperplane of coordinates with sum 0 (page 5 of the paper).

    Scaled so that splat, blur and slice together have unit variance.
    """
    columns = np.arange(dimensions + 1)
    rows = np.arange(1, dimensions + 1)[:, None]
    matrix = np.where(columns < rows, 1.0, np.where(columns == rows, -rows, 0.0))
    return matrix * math.sqrt(2 / 3) * (dimensions + 1) / np.sqrt(rows * (rows + 1))


def _simplices(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Codes and shares (B, P, d + 1) of the vertices around each point, and the code steps (d + 1,) along the axes.

    A code packs the image and the first d coordinates of a vertex, of which the last follows, into one int64.
    """
    order = features.shape[-1] + 1
    position = tf.linalg.matmul(features, tf.constant(_elevation(order - 1) / order, features.dtype))
    nearest = tf.round(position)
    residuals, ranking = tf.math.top_k(position - nearest, order)
    shares = residuals - tf.concat([residuals[..., 1:], residuals[..., :1] - 1], -1)

    cell = tf.cast(nearest, tf.int64)
    strides, image_stride = _strides(cell)
    images = tf.range(tf.shape(features, tf.int64)[0])[:, None, None] * image_stride
    # Vertex s is `order * cell` with the coordinates of smaller residual than the s-th lowered by `order`, and then all
    # moved by as much as brings it back to the hyperplane of sum 0.
    total = tf.reduce_sum(strides)
    lowered = order * tf.cumsum(tf.gather(strides, ranking), -1, exclusive=True, reverse=True)
    moved = (tf.range(order - 1, -1, -1, tf.int64) - tf.reduce_sum(cell, -1, keepdims=True)) * total
    codes = order * tf.reduce_sum(cell * strides, -1, keepdims=True) + images + moved - lowered
    return codes, shares, total - order * strides


def _strides(cell: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Factors (d + 1,) of the coordinates in a code, that of the last one 0, and the factor of the image."""
    order = cell.shape[-1]
    flat = tf.reshape(cell, [-1, order])
    # A vertex lies less than `order` away from the cell, and its neighbours less than `order` further.
    extents = order * (tf.reduce_max(flat, 0) - tf.reduce_min(flat, 0) + 5)[:-1]
    bits = tf.reduce_sum(tf.math.log(tf.cast(extents, tf.float64))) / math.log(2)
    bits += tf.math.log(tf.cast(tf.shape(cell)[0], tf.float64)) / math.log(2)
    tf.debugging.assert_less(bits, tf.constant(63, bits.dtype), "standard deviations too small: lattice exceeds 2**63")
    return tf.concat([tf.math.cumprod(extents, exclusive=True), [0]], 0), tf.reduce_prod(extents)


def _neighbours(vertices: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Indices (d + 1, 2, M + 1) of the next and the last vertex of each along each axis, M where there is none."""
    count = tf.size(vertices)
    _, found = tf.unique(tf.concat([vertices, tf.reshape(vertices + steps[:, None], [-1])], 0))
    following = tf.minimum(tf.reshape(found, [-1, count])[1:], count)
    tables = []
    for ahead in tf.unstack(following, num=steps.shape[0]):
        ahead = tf.concat([ahead, [count]], 0)
        behind = tf.tensor_scatter_nd_update(tf.fill([count + 1], count), ahead[:, None], tf.range(count + 1))
        # Many vertices lack the next one, and all of them wrote to the last place.
        tables.append(tf.stack([ahead, tf.concat([behind[:-1], [count]], 0)]))
    return tf.stack(tables)


def filtered(lattice: Lattice, values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """`weight` times the filtered float32 values (N, C), differentiable in both."""

    @tf.custom_gradient
    def apply(values: tf.Tensor, weight: tf.Tensor) -> Any:
        blurred = _blur(lattice, _splat(lattice, values))

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            splatted = _splat(lattice, upstream)
            transposed = _slice(lattice, weight * _blur(lattice, splatted, reverse=True))
            return transposed, tf.reduce_sum(splatted * blurred)

        return _slice(lattice, weight * blurred), gradient

    return apply(values, weight)


def _splat(lattice: Lattice, values: tf.Tensor) -> tf.Tensor:
    return tf.sparse.sparse_dense_matmul(lattice.splat, values, adjoint_a=True)


def _slice(lattice: Lattice, values: tf.Tensor) -> tf.Tensor:
    return tf.sparse.sparse_dense_matmul(lattice.splat, values)


def _blur(lattice: Lattice, values: tf.Tensor, reverse: bool = False) -> tf.Tensor:
    """Axis after axis, which do not commute where vertices are missing: reversed it is the transpose."""
    tables = tf.unstack(lattice.neighbours, num=lattice.neighbours.shape[0])
    for ahead, behind in (tf.unstack(table) for table in (reversed(tables) if reverse else tables)):
        values += 0.5 * (tf.gather(values, ahead) + tf.gather(values, behind))
    return values


def normalised(lattice: Lattice) -> Lattice:
    """The lattice whose filter K becomes D K D with D = diag(K 1) ** -1/2 (`NORMALIZE_SYMMETRIC` of pydensecrf)."""
    ones = tf.ones([lattice.splat.dense_shape[0], 1])
    factors = tf.math.rsqrt(filtered(lattice, ones, tf.constant(1.0)) + 1e-20)[:, 0]
    values = lattice.splat.values * tf.gather(factors, lattice.splat.indices[:, 0])
    return lattice._replace(splat=lattice.splat.with_values(values))


def repeated(lattice: Lattice, times: tf.Tensor) -> Lattice:
    """The lattice of `times` images that have the same features."""
    shape, axes = lattice.splat.dense_shape, lattice.neighbours.shape[0]
    image = tf.range(tf.cast(times, tf.int64))
    indices = tf.reshape(lattice.splat.indices + image[:, None, None] * shape, [-1, 2])
    values = tf.tile(lattice.splat.values, [times])
    tables = lattice.neighbours[:, :, None] + tf.cast(image[:, None] * shape[1], lattice.neighbours.dtype)
    return Lattice(
        tf.SparseTensor(indices, values, shape * tf.stack([tf.size(image, tf.int64)] * 2)),
        tf.reshape(tables, [axes, 2, -1]),
    )
