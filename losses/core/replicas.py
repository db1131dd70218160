"""Sums over the global batch, whatever the number of replicas it is split over."""

import tensorflow as tf


def global_sum(values: tf.Tensor) -> tf.Tensor:
    """The sum of `values` over all replicas: one differentiable all-reduce, nothing at all on one replica.

    The gradient of an all-reduce is an all-reduce, so a loss made of global sums and divided by the number of
    replicas (as Keras does) has, summed over the replicas, the gradient of the one-device loss. It must be called at
    the top level of the replica's step, never inside `tf.map_fn`, `tf.cond` or a nested `tf.function`.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def shares(weights: tf.Tensor) -> tf.Tensor:
    """Factors (B,) that turn values of images into a weighted mean over the global batch.

    Keras takes the plain mean over the replica's B images and then over the N replicas; `w_i * B * N / sum(w)`, with
    the sum over the global batch, undoes that. Zero when all weights are zero.
    """
    return weights * tf.math.divide_no_nan(global_batch(weights), global_sum(tf.reduce_sum(weights)))


def global_batch(values: tf.Tensor) -> tf.Tensor:
    """`B * N`: the images of this replica times the number of replicas, a float32 scalar."""
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    return tf.cast(tf.shape(values)[0] * replicas, tf.float32)
