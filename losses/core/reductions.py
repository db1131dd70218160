"""Sums over pixels, per image and over the global batch."""

import contextlib
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.framework import config  # the only place that says whether operations are deterministic

from losses.core.replicas import global_sum


def over_pixels(terms: tf.Tensor) -> tf.Tensor:
    """Return the sums (B,...) of terms (B,H,W,...), first along H and then along W.

    One sum over both axes is slower, and for 512 x 512 float32 pixels its relative error is up to 2e-5; here, 1e-6.
    """
    return tf.reduce_sum(tf.reduce_sum(terms, axis=1), axis=1)


def bincount(bins: tf.Tensor, size: int | tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Return the sum of weights per bin 0..size-1, or int32 counts, for bins (N,) or for each row of bins (rows, N).

    It calls the raw operation, because tf.math.bincount first searches for the largest value. Where operations have to
    be deterministic it runs on the host, because a GPU then refuses it.
    """
    weights = tf.zeros((0,), tf.int32) if weights is None else weights
    with tf.device("CPU:0") if config.is_op_determinism_enabled() else contextlib.nullcontext():
        return tf.raw_ops.DenseBincount(input=bins, size=size, weights=weights, binary_output=False)


def over_groups(sums: Sequence[tf.Tensor], average: str) -> list[tf.Tensor]:
    """Return sums per group (groups,...) from sums per image (B,...): unchanged for "image", one sum for "batch".

    The batch is the global one. All sums go through one all-reduce, so they must have the same shape.
    """
    if average == "image":
        return list(sums)
    return tf.unstack(global_sum(tf.reduce_sum(tf.stack(sums), axis=1, keepdims=True)))
