"""Sums over pixels, of images and of the global batch."""

import contextlib
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.framework import config  # the only place that says whether operations are deterministic

from losses.core.replicas import global_sum


def over_pixels(terms: tf.Tensor) -> tf.Tensor:
    """Sums (B,...) of terms (B,H,W,...), a column and then the row.

    Taken at once, those of 512 x 512 float32 pixels are slower and wrong by up to 2e-5 of their value; so, by 1e-6.
    """
    return tf.reduce_sum(tf.reduce_sum(terms, axis=1), axis=1)


def bincount(bins: tf.Tensor, size: int | tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Sums of weights, or int32 counts, of each bin 0..size-1: of bins (N,), or of each row of bins (rows, N).

    The operation itself, because tf.math.bincount first looks for the largest value. Where bits have to repeat it is
    done on the host: a GPU refuses it then.
    """
    weights = tf.zeros((0,), tf.int32) if weights is None else weights
    with tf.device("CPU:0") if config.is_op_determinism_enabled() else contextlib.nullcontext():
        return tf.raw_ops.DenseBincount(input=bins, size=size, weights=weights, binary_output=False)


def over_groups(sums: Sequence[tf.Tensor], average: str) -> list[tf.Tensor]:
    """Sums of images (B,...) as sums of groups (groups,...): the same for "image", for "batch" one of all images.

    The batch is the global one, in one all-reduce for all sums, which therefore have one shape.
    """
    if average == "image":
        return list(sums)
    return tf.unstack(global_sum(tf.reduce_sum(tf.stack(sums), axis=1, keepdims=True)))
