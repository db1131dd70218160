"""Sums over the global batch, for any number of replicas."""

import tensorflow as tf


def global_sum(values: tf.Tensor) -> tf.Tensor:
    """Return the sum of `values` over all replicas by one differentiable all-reduce; on one replica, `values` itself.

    The gradient of an all-reduce is an all-reduce. Keras divides a loss by the number of replicas; a loss made of
    global sums then has, summed over the replicas, the gradient of the one-device loss. Call this at the top level of
    the replica's step, never inside `tf.map_fn`, `tf.cond` or a nested `tf.function`.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def shares(weights: tf.Tensor) -> tf.Tensor:
    """Return factors (B,) that turn values per image into a weighted mean over the global batch.

    Keras takes the plain mean over the B images of a replica and then over the N replicas. The factors
    `w_i * B * N / sum(w)`, with the sum over the global batch, undo that. They are zero when all weights are zero.
    """
    return weights * tf.math.divide_no_nan(global_batch(weights), global_sum(tf.reduce_sum(weights)))


def global_batch(values: tf.Tensor) -> tf.Tensor:
    """Return `B * N`, the images of this replica times the number of replicas, as a float32 scalar."""
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    return tf.cast(tf.shape(values)[0] * replicas, tf.float32)
