"""A fixed reference: how fast a trial's own devices compute a convolution and a matrix product of set shapes.

It tells the speed of the machine at that moment. The speed of a virtual machine drifts, and so does the clock of a hot
processor; the reference drifts with them, and nothing of the suite changes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from bench.spec import Placement

VERSION = 2
"""Of the shapes below, and of what is taken of the timings. Rates of two versions cannot be compared."""
SECONDS = 0.35
"""How long a measurement lasts. A trial has two, and may spend a second on them."""
_LEAST = 3
"""Timings of each operation on a machine that is so slow that the time is over before."""
_CALLS = 0.005
"""Seconds that a timing lasts at least: a fast device is given several calls in a row."""
_MOST_CALLS = 64
_NUMBERS = 4099
"""Numbers that are drawn; a prime, so that rows of a matrix differ."""


@dataclass(frozen=True)
class Shapes:
    """The shapes of the reference, all float32: a convolution 3x3, padded, on (images, side, side, channels); and the
    product of two square matrices.
    """

    images: int
    side: int
    channels: int
    matrix: int

    @property
    def convolution_flops(self) -> int:
        """FLOPs of the convolution, which keeps the number of channels; a multiplication and an addition are two."""
        return 2 * 9 * self.channels**2 * self.images * self.side**2

    @property
    def product_flops(self) -> int:
        """FLOPs of the matrix product."""
        return 2 * self.matrix**3


CPU = Shapes(images=1, side=128, channels=64, matrix=1024)
"""1.2 and 2.1 GFLOP, 21 MB: ten to twenty milliseconds each on two cores."""
GPU = Shapes(images=8, side=128, channels=64, matrix=2048)
"""9.7 and 17.2 GFLOP, 120 MB: a fraction of a millisecond each, more than it takes to ask for them."""


def reference(placement: Placement) -> dict[str, Any]:
    """Measure the reference once, on all devices of a trial at the same time.

    Neither the random numbers nor the precision of the trial are touched: the numbers are drawn by NumPy from a seed of
    their own, and everything is float32 (on GPUs with TensorFloat-32 where TensorFlow uses it).

    Args:
        placement: the devices of the trial. Its replicas on the CPU share its cores, so they are one device.

    Returns:
        GFLOP/s of one device, the slowest if there are several: {"convolution": ..., "product": ...} and "gflops", the
        rate of both together.
    """
    shapes = GPU if placement.gpus else CPU
    devices = [f"GPU:{i}" for i in range(placement.gpus)] or ["CPU:0"]
    calls = [_operations(shapes, device) for device in devices]
    convolution, product = _seconds([list(own) for own in zip(*calls, strict=True)], many=placement.gpus > 0)
    both = shapes.convolution_flops + shapes.product_flops
    return {
        "convolution": shapes.convolution_flops / convolution / 1e9,
        "product": shapes.product_flops / product / 1e9,
        "gflops": both / (convolution + product) / 1e9,
    }


def _operations(shapes: Shapes, device: str) -> tuple[Callable[[], tf.Tensor], Callable[[], tf.Tensor]]:
    """Return the convolution and the product on a device, as calls that may return before the device is done."""
    # Few numbers, repeated: to draw a million takes as long as to multiply them.
    numbers = np.random.default_rng(0).standard_normal(_NUMBERS, np.float32)

    def normal(*shape: int) -> tf.Tensor:
        return tf.constant(np.resize(numbers, shape))

    with tf.device(device):
        image = normal(shapes.images, shapes.side, shapes.side, shapes.channels)
        kernel = normal(3, 3, shapes.channels, shapes.channels)
        left, right = normal(shapes.matrix, shapes.matrix), normal(shapes.matrix, shapes.matrix)

    def convolution() -> tf.Tensor:
        with tf.device(device):
            return tf.nn.conv2d(image, kernel, strides=1, padding="SAME")

    def product() -> tf.Tensor:
        with tf.device(device):
            return tf.linalg.matmul(left, right)

    return convolution, product


def _seconds(operations: list[list[Callable[[], tf.Tensor]]], many: bool) -> list[float]:
    """Return the shortest seconds of a call per operation, the devices working at the same time.

    The shortest, because whatever else happens only adds time: threads that have to be woken, a second thread that
    finds no free core at once. (Medians of five calls differed by a quarter within a trial on a machine that did
    nothing else.) The operations take turns, so that each of them has the whole time to meet its best moment.

    Args:
        operations: per operation, a call per device.
        many: whether a timing consists of several calls, because one is over too soon to be timed.
    """

    def timed(calls: list[Callable[[], tf.Tensor]], times: int) -> float:
        started = time.perf_counter()
        for _ in range(times):
            last = [call() for call in calls]
        for one in last:
            tf.reshape(one, [-1])[:1].numpy()  # waits for the device
        return (time.perf_counter() - started) / times

    began = time.perf_counter()
    for calls in operations:
        timed(calls, 1)  # choice of kernels and first use of memory
    repeats = [max(1, min(_MOST_CALLS, round(_CALLS / timed(calls, 1)))) if many else 1 for calls in operations]
    found: list[list[float]] = [[] for _ in operations]
    while len(found[0]) < _LEAST or time.perf_counter() - began < SECONDS:
        for seconds, calls, times in zip(found, operations, repeats, strict=True):
            seconds.append(timed(calls, times))
    return [min(seconds) for seconds in found]
