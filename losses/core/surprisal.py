"""The surprisal of the true class, the first step of every softmax loss on hard labels."""

from typing import Any

import tensorflow as tf


def surprisal(ids: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return -ln p of the class `ids` (B,H,W), int32, under the softmax of float32 logits (B,H,W,C).

    Values are float32 (B,H,W), >= 0, in nats. On a GPU, TensorFlow's operation is one kernel. On a CPU, computing it
    from parts takes a third of the time at 150 classes.
    """
    if tf.config.list_logical_devices("GPU"):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits)
    return surprisal_from_parts(ids, logits)


@tf.custom_gradient
def surprisal_from_parts(ids: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Return (max z - z_y) - ln max p, which is exact where p_y is 0 in float32 and where it is almost 1."""
    p = tf.nn.softmax(logits)
    behind = tf.reduce_max(logits, axis=-1) - tf.gather(logits, ids, batch_dims=3)

    def gradient(of_value: tf.Tensor) -> tuple[None, tf.Tensor]:
        return None, of_value[..., tf.newaxis] * (p - tf.one_hot(ids, logits.shape[-1]))

    return behind - tf.math.log(tf.reduce_max(p, axis=-1)), gradient
