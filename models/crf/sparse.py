"""A sparse matrix that multiplies values on all cores, and whose transpose does."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.framework import config  # the only place that says whether operations are deterministic

from models.compat import AFTER_TF_2_15


class Matrix(NamedTuple):
    """A sparse float32 matrix (R, K).

    Attributes:
        entries: its entries, row by row.
        compressed: the same for `SparseMatrixMatMul`; None where a GPU multiplies.
        transposed: its transpose in that form.
    """

    entries: tf.SparseTensor
    compressed: Any = None
    transposed: Any = None


def matrix(columns: tf.Tensor, values: tf.Tensor, width: tf.Tensor) -> Matrix:
    """Return the matrix with the same number of entries per row.

    Args:
        columns: integers (E, R), where the entries of each row are; those in one place are added.
        values: float32 (E, R).
        width: the number of columns.
    """
    height = tf.shape(columns, tf.int64)[1]
    rows = tf.range(height)
    ways = tf.unstack(tf.cast(columns, tf.int64), num=columns.shape[0])
    indices = tf.reshape(tf.stack([there for column in ways for there in (rows, column)], 1), [-1, 2])
    shape = tf.stack([height, tf.cast(width, tf.int64)])
    entries = tf.SparseTensor(indices, tf.reshape(tf.transpose(values), [-1]), shape)
    return Matrix(entries) if _by_gpu() else _compressed(entries)


def _compressed(entries: tf.SparseTensor) -> Matrix:
    with on_host():
        compressed = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=entries.indices, values=entries.values, dense_shape=entries.dense_shape
        )
        transposed = tf.raw_ops.SparseMatrixTranspose(input=compressed, type=tf.float32)
    return Matrix(entries, compressed, transposed)


def from_entries(one: Matrix) -> Matrix:
    """Return the same matrix for the gradient of a graph.

    A SavedModel keeps gradients, but no compressed matrix that a gradient takes from the forward pass. So it is made
    again there, and graph optimisation makes the two one.
    """
    if one.compressed is None or tf.executing_eagerly():
        return one
    return _compressed(one.entries)


def product(left: Matrix, values: tf.Tensor, transpose: bool = False) -> tf.Tensor:
    """Multiply the matrix, or its transpose, by values (K, C) or (R, C).

    A row of the result is summed by one thread in the order of the entries, so that its bits do not depend on the
    number of threads. TensorFlow can also multiply by the transpose of a compressed matrix as it is, but then its
    threads share the sums, in another order every time.
    """
    if left.compressed is None:
        return tf.sparse.sparse_dense_matmul(left.entries, values, adjoint_a=transpose)
    with on_host():
        found = tf.raw_ops.SparseMatrixMatMul(a=left.transposed if transpose else left.compressed, b=values)
    # Neither shape inference nor graph optimisation knows the shape of this product.
    return tf.reshape(found, [-1, values.shape[1] or tf.shape(values)[1]])


def missing_columns(columns: int | None) -> int:
    """Return how many columns of zeros the values lack for `product` to be fast.

    On a processor it is fast for multiples of 8. 21 columns take 1.5 times as long as 24 in TensorFlow 2.15, and 2.4
    times in 2.21. 8 columns take a third of the time of 3 in 2.21, but longer in 2.15.
    """
    if columns is None or tf.config.list_logical_devices("GPU") or (columns < 5 and not AFTER_TF_2_15):
        return 0
    return -columns % 8


def _by_gpu() -> bool:
    """Whether a GPU multiplies. Where operations must be deterministic the host does: a GPU then refuses it."""
    return bool(tf.config.list_logical_devices("GPU")) and not config.is_op_determinism_enabled()


def on_host() -> Any:
    """Return the device of operations that a GPU does not have."""
    return tf.device("CPU:0") if tf.config.list_logical_devices("GPU") else contextlib.nullcontext()
