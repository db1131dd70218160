"""What this machine computes at most, as TensorFlow drives it: the rate that a model's own rate is a share of."""

from __future__ import annotations

import tensorflow as tf

from bench.perf.rounds import medians

SIDE = 2048
IMAGE = (8, 64, 64, 256)  # batch, height, width, channels of a 3x3 convolution that fills any machine


def flops_per_second(precision: str = "float32", rounds: int = 7) -> dict[str, float]:
    """{"matmul" or "convolution": floating point operations a second}, a multiply and add counting as 2.

    Args:
        precision: a Keras dtype policy; its compute type is measured.
        rounds: of which the median is taken.
    """
    dtype = tf.as_dtype(precision.removeprefix("mixed_"))
    square = tf.cast(tf.random.stateless_normal((SIDE, SIDE), (0, 1)), dtype)
    batch, height, width, channels = IMAGE
    image = tf.cast(tf.random.stateless_normal(IMAGE, (0, 2)), dtype)
    kernel = tf.cast(tf.random.stateless_normal((3, 3, channels, channels), (0, 3)), dtype)

    @tf.function
    def matmul() -> tf.Tensor:
        return tf.reduce_sum(tf.matmul(square, square)[0])

    @tf.function
    def convolution() -> tf.Tensor:
        return tf.reduce_sum(tf.nn.conv2d(image, kernel, 1, "SAME")[0, 0, 0])

    work = {"matmul": 2 * SIDE**3, "convolution": 2 * 9 * channels**2 * batch * height * width}
    seconds = medians({"matmul": lambda: float(matmul()), "convolution": lambda: float(convolution())}, rounds)
    return {name: operations / seconds[name] for name, operations in work.items()}
