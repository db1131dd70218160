"""A whole number for every vertex around points of the lattice."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from models.crf.simplices import Simplices


class Naming(NamedTuple):
    """How the vertices are numbered 0..size-1.

    With a vertex goes a whole number per coordinate: how often it is lowered by d + 1. Lowering all of them equally
    gives the same vertex again. So the differences of consecutive numbers name a vertex, any d whole numbers name one,
    and their ranges are narrow. They are the digits of its code. The next vertex along an axis is lowered once more
    there.

    Attributes:
        strides: int64 (d,), the factors of the digits.
        start: int64, the code of digits 0.
        size: int64, one more than the largest code that a vertex or a neighbour can have.
    """

    strides: tf.Tensor
    start: tf.Tensor
    size: tf.Tensor

    @property
    def steps(self) -> tf.Tensor:
        """What is added to the code of a vertex for the next one along each axis: int64 (d + 1,)."""
        return tf.concat([self.strides, [0]], 0) - tf.concat([[0], self.strides], 0)


def naming(simplices: Simplices) -> Naming:
    """Return numbers that suffice for the vertices around the points, and for the neighbours of these."""
    digits = simplices.digits
    # A vertex of the simplex lies 1 further at most, and so does its neighbour.
    least = tf.cast(tf.stack([tf.reduce_min(digit) for digit in digits]), tf.int64) - 2
    extents = tf.cast(tf.stack([tf.reduce_max(digit) for digit in digits]), tf.int64) + 3 - least
    bits = tf.reduce_sum(tf.math.log(tf.cast(extents, tf.float64))) / math.log(2)
    message = "standard deviations too small for this image: the codes of the lattice exceed 63 bits"
    tf.debugging.assert_less(bits, tf.constant(63, bits.dtype), message)
    strides = tf.math.cumprod(extents, exclusive=True)
    return Naming(strides, -tf.reduce_sum(least * strides), tf.reduce_prod(extents))


def codes(simplices: Simplices, names: Naming, dtype: tf.DType) -> tf.Tensor:
    """Return the codes (d + 1, N) of the vertices around the points, in the order of their shares.

    `dtype` is an integer type that holds `names.size`.
    """
    strides, steps = tf.unstack(tf.cast(names.strides, dtype)), tf.cast(names.steps, dtype)
    parts = [tf.cast(digit, dtype) * stride for digit, stride in zip(simplices.digits, strides, strict=True)]
    # From the vertex where none is lowered to the one where all are but the coordinate of the largest residual.
    found = [tf.add_n(parts) + tf.cast(names.start, dtype)]
    for place in simplices.ranking[:0:-1]:
        found.append(found[-1] + tf.gather(steps, place))
    return tf.stack(found[::-1])
