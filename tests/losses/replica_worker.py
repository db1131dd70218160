"""Run by test_replicas.py in a process of its own: the update of every loss on one and on two logical CPUs.

Prints one JSON object: case -> relative difference of the update and of the loss value.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import losses
from losses.base import AVERAGES

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
# One strategy a process with device-local reduction: collectives of a second one would clash.
TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
assert TWO.num_replicas_in_sync == 2

B, H, W, C = 4, 6, 5, 3
RNG = np.random.default_rng(3)
IMAGES = RNG.normal(size=(B, H, W, 4)).astype(np.float32)
LABELS = RNG.integers(0, C, (B, H, W)).astype(np.uint8)
LABELS[0] = 255  # the first replica sees half the pixels, and class 2 in neither of them
LABELS[1, :3] = 255
LABELS[1][LABELS[1] == 2] = 0
LABELS[3][LABELS[3] == 1] = 2
WEIGHTS = RNG.uniform(0.2, 3, (B, H, W)).astype(np.float32)
KERNEL = RNG.normal(size=(1, 1, 4, C)).astype(np.float32)


def build() -> keras.Model:
    inputs = keras.Input((H, W, 4))
    model = keras.Model(inputs, keras.layers.Conv2D(C, 1, use_bias=False)(inputs))
    model.set_weights([KERNEL])
    return model


def by_loop(name: str, average: str, strategy: tf.distribute.Strategy) -> tuple[np.ndarray, float]:
    loss = losses.get(name, average=average, reduction="none")
    with strategy.scope():
        kernel = tf.Variable(KERNEL)

    def step(images, labels, weights):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(loss(labels, tf.nn.conv2d(images, kernel, 1, "SAME"), weights)) / B
        gradient = tf.distribute.get_replica_context().all_reduce("SUM", tape.gradient(value, kernel))
        return gradient, value

    @tf.function
    def run(batch):
        gradient, value = strategy.run(step, args=batch)
        return strategy.experimental_local_results(gradient)[0], strategy.reduce("SUM", value, axis=None)

    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, WEIGHTS)).batch(B)
    gradient, value = run(next(iter(strategy.experimental_distribute_dataset(data))))
    return gradient.numpy(), float(value)


def by_fit(name: str, average: str, strategy: tf.distribute.Strategy) -> tuple[np.ndarray, float]:
    """The update of `fit`, large beside the kernel so that no digit of it is lost, and the value of `evaluate`."""
    with strategy.scope():
        model = build()
        model.compile(keras.optimizers.SGD(1e3), losses.get(name, average=average), jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, WEIGHTS)).batch(B)
    value = model.evaluate(data, verbose=0)
    history = model.fit(data, epochs=1, verbose=0)
    assert abs(history.history["loss"][0] - value) <= 1e-6 * abs(value)
    return KERNEL - model.get_weights()[0], value


def difference(run, name: str, average: str) -> list[float]:
    (one, value_one), (two, value_two) = (run(name, average, s) for s in (tf.distribute.get_strategy(), TWO))
    assert np.abs(one).max() > 1e-4
    return [float(np.abs(two - one).max() / np.abs(one).max()), abs(value_two - value_one) / abs(value_one)]


def averages(name: str) -> tuple[str, ...]:
    """Those that a loss has, its default first."""
    loss = losses.get(name)
    return tuple(sorted(getattr(loss, "averages", AVERAGES), key=lambda average: average != loss.average))


report = {}
for name in losses.names():
    first, *others = averages(name)
    report[f"fit {name} {first}"] = difference(by_fit, name, first)
    for average in others or [first]:
        report[f"loop {name} {average}"] = difference(by_loop, name, average)
json.dump(report, sys.stdout)
