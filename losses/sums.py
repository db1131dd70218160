"""Sums over pixels, of images and of the global batch."""

from collections.abc import Sequence

import tensorflow as tf

from losses.replicas import global_sum


def over_pixels(terms: tf.Tensor) -> tf.Tensor:
    """Sums (B,...) of terms (B,H,W,...), a column and then the row.

    Taken at once, those of 512 x 512 float32 pixels are slower and wrong by up to 2e-5 of their value; so, by 1e-6.
    """
    return tf.reduce_sum(tf.reduce_sum(terms, axis=1), axis=1)


def over_groups(sums: Sequence[tf.Tensor], average: str) -> list[tf.Tensor]:
    """Sums of images (B,...) as sums of groups (groups,...): the same for "image", for "batch" one of all images.

    The batch is the global one, in one all-reduce for all sums, which therefore have one shape.
    """
    if average == "image":
        return list(sums)
    return tf.unstack(global_sum(tf.reduce_sum(tf.stack(sums), axis=1, keepdims=True)))
