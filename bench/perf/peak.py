"""The highest rate of computation of this machine with TensorFlow. A model's rate is given as a share of it."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

SIDE = 2048
IMAGE = (8, 64, 64, 256)  # batch, height, width, channels of a 3x3 convolution that fills any machine
QUEUED = 30  # kernels per call on a GPU, which else would wait for the host between two


def sides(precision: str = "float32") -> dict[str, tuple[Callable[[], float], float]]:
    """Return "matmul" and "convolution", each a call that returns when it is done, and its floating point operations.

    A multiplication and an addition count as 2. Measure them in turns with what is compared to them.

    Args:
        precision: a Keras dtype policy; its compute type is measured.
    """
    dtype = tf.as_dtype(precision.removeprefix("mixed_"))
    square = tf.cast(tf.random.stateless_normal((SIDE, SIDE), (0, 1)), dtype)
    batch, height, width, channels = IMAGE
    image = tf.cast(tf.random.stateless_normal(IMAGE, (0, 2)), dtype)
    kernel = tf.cast(tf.random.stateless_normal((3, 3, channels, channels), (0, 3)), dtype)
    often = QUEUED if tf.config.list_physical_devices("GPU") else 1

    @tf.function
    def matmul() -> tf.Tensor:
        return tf.reduce_sum(tf.matmul(square, square)[0])

    @tf.function
    def convolution() -> tf.Tensor:
        return tf.reduce_sum(tf.nn.conv2d(image, kernel, 1, "SAME")[0, 0, 0])

    def queued(call: Callable[[], tf.Tensor]) -> Callable[[], float]:
        return lambda: float([call() for _ in range(often)][-1])

    return {
        "matmul": (queued(matmul), often * 2.0 * SIDE**3),
        "convolution": (queued(convolution), often * 2.0 * 9 * channels**2 * batch * height * width),
    }
