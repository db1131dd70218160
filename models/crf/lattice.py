"""Gaussian filtering in d dimensions on the permutohedral lattice (Adams, Baek and Davis 2010), in TensorFlow.

Points of feature space lie in simplices of a lattice. The value of a point is spread over the d + 1 vertices of its
simplex (splat). The vertices are blurred with (1/2, 1, 1/2) along each of the d + 1 axes. Then the point reads its
vertices back (slice). Up to a constant, this approximates convolution with a Gaussian of unit variance, in time linear
in the points.

Splat and slice are one sparse matrix and its transpose. The blur gathers neighbours. The size of the lattice depends
on the data: graphs and SavedModels can hold it, XLA cannot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from models.crf.simplices import simplices
from models.crf.sparse import Matrix, from_entries, matrix, on_host, product
from models.crf.vertices import numbered


class Lattice(NamedTuple):
    """N points among M vertices; number M stands for none. The numbers are integers of one type.

    Attributes:
        vertices: (d + 1, N), the vertices around each point.
        shares: float32 (d + 1, N), the share of the point in each.
        neighbours: (d + 1, 2, M + 1), the previous and the next vertex along each axis; M where there is none.
    """

    vertices: tf.Tensor
    shares: tf.Tensor
    neighbours: tf.Tensor


class Filter(NamedTuple):
    """The sum of filters over N points.

    Attributes:
        shares: (N, sum of sizes), the share of each point in the vertices of all lattices.
        neighbours: those of each lattice.
        sizes: (lattices,), M + 1 of each.
    """

    shares: Matrix
    neighbours: tuple[tf.Tensor, ...]
    sizes: tf.Tensor


def build(features: tf.Tensor, inside: tf.Tensor | None = None) -> Lattice:
    """Build the lattice of float32 features (N, d), in standard deviations.

    Points that are not `inside` (N,) send nothing, receive nothing and make no vertex. The first point must be inside.
    """
    if inside is not None:
        features = tf.where(inside[:, None], features, features[:1])
    order = features.shape[-1] + 1
    found = simplices(features)
    vertices = numbered(found)
    # The factor 1 / (1 + 2 ** -d) of Adams's code: its square root at the splat, and again at the slice.
    shares = tf.stack(found.shares) / math.sqrt(1 + 2.0 ** (1 - order))
    if inside is not None:
        shares = tf.where(inside, shares, 0.0)
    return Lattice(vertices.of_points, shares, vertices.neighbours)


def filter_of(lattices: Sequence[Lattice], normalise: bool = True) -> Filter:
    """Return the sum of the filters of lattices of the same points.

    Normalised, the filter K of a lattice becomes D K D with D = diag(K 1) ** -1/2 (pydensecrf's
    `NORMALIZE_SYMMETRIC`).
    """
    sizes = tf.stack([tf.shape(lattice.neighbours, lattice.neighbours.dtype)[2] for lattice in lattices])
    starts = tf.unstack(tf.math.cumsum(sizes, exclusive=True), num=len(lattices))
    columns = tf.concat([lattice.vertices + start for lattice, start in zip(lattices, starts, strict=True)], 0)
    shares = tf.concat([_normalised(lattice) if normalise else lattice.shares for lattice in lattices], 0)
    return Filter(matrix(columns, shares, tf.reduce_sum(sizes)), tuple(one.neighbours for one in lattices), sizes)


def _normalised(lattice: Lattice) -> tf.Tensor:
    """Return the shares of the normalised filter."""
    masses = _splat_of_ones(lattice)[:, None]
    blurred = blur(lattice.neighbours, masses)[:, 0]
    degrees = tf.reduce_sum(lattice.shares * tf.gather(blurred, lattice.vertices), 0)
    return lattice.shares * tf.math.rsqrt(degrees + 1e-20)


FINE = 2.0**32
"""Parts of a share that are counted."""


def _splat_of_ones(lattice: Lattice) -> tf.Tensor:
    """Return the sum of the shares of each vertex: float32 (M + 1,).

    Whole numbers are added, so that threads may share a sum in any order without a change of its bits.
    """
    parts = tf.cast(tf.reshape(tf.cast(lattice.shares, tf.float64) * FINE, [-1]), tf.int64)
    size = tf.shape(lattice.neighbours, lattice.vertices.dtype)[2]
    with on_host():
        sums = tf.raw_ops.DenseBincount(
            input=tf.reshape(lattice.vertices, [-1]), size=size, weights=parts, binary_output=False
        )
    return tf.cast(tf.cast(sums, tf.float64) / FINE, tf.float32)


def filtered(kernel: Filter, values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return the sum of `weights` (one per lattice) times the filtered values (N, C), differentiable in both."""
    count = len(kernel.neighbours)

    def splat(shares: Matrix, values: tf.Tensor) -> list[tf.Tensor]:
        return tf.split(product(shares, values, transpose=True), kernel.sizes, num=count)

    def slice_(shares: Matrix, parts: list[tf.Tensor], weights: tf.Tensor) -> tf.Tensor:
        weighted = [weight * part for weight, part in zip(tf.unstack(weights, num=count), parts, strict=True)]
        return product(shares, tf.concat(weighted, 0))

    @tf.custom_gradient
    def apply(values: tf.Tensor, weights: tf.Tensor) -> Any:
        parts = splat(kernel.shares, values)
        blurred = [blur(beside, part) for beside, part in zip(kernel.neighbours, parts, strict=True)]

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            shares = from_entries(kernel.shares)
            parts = splat(shares, upstream)
            by_weights = [tf.reduce_sum(part * other) for part, other in zip(parts, blurred, strict=True)]
            # The axes do not commute where vertices are missing: in reverse order it is the transpose.
            back = [blur(beside[::-1], part) for beside, part in zip(kernel.neighbours, parts, strict=True)]
            return slice_(shares, back, weights), tf.stack(by_weights)

        return slice_(kernel.shares, blurred, weights), gradient

    return apply(values, weights)


def blur(neighbours: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Blur the values of vertices (M + 1, C) along the axes, in order. The last one, of no vertex, is 0 and stays 0."""
    axes = neighbours.shape[0]
    for beside in tf.unstack(neighbours, num=axes):
        previous, following = tf.unstack(beside, num=2)
        # Twice the blurred values, by one operation.
        values = tf.add_n([values, values, tf.gather(values, previous), tf.gather(values, following)])
    return values * 0.5**axes
