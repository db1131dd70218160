"""Run by test_normalisation.py in a process of its own: one training step on one and on two logical CPUs.

Prints one JSON object: case -> largest difference, relative to the largest value.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from models.layers.normalisation import BatchNormalization

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
ONE = tf.distribute.get_strategy()
assert TWO.num_replicas_in_sync == 2

RNG = np.random.default_rng(3)
IMAGES = RNG.normal(size=(4, 6, 5, 3)).astype("float32") * [1, 2, 3] + [0, 50, -3]
IMAGES[:2] += 4  # the replicas see different halves
TARGET = RNG.normal(size=(4, 6, 5, 3)).astype("float32")


def step(strategy: tf.distribute.Strategy, layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    """What a layer gives and learns from the whole batch: values, gradients, running statistics."""
    with strategy.scope():
        layer.build((None, 6, 5, 3))
        layer.set_weights([np.array(row, "float32") for row in ([1, 2, 3], [0.1, 0.2, 0.3], [1, 0, -1], [1, 4, 9])])

    def replica(images, target):
        with tf.GradientTape() as tape:
            tape.watch(images)
            values = layer(images, training=True)
            loss = tf.reduce_sum(tf.square(values - target))
        *own, of_images = tape.gradient(loss, [*layer.trainable_variables, images])
        return values, of_images, tf.distribute.get_replica_context().all_reduce("SUM", own)

    @tf.function
    def run(batch):
        return strategy.run(replica, args=batch)

    data = tf.data.Dataset.from_tensor_slices((IMAGES.astype("float32"), TARGET)).batch(4)
    values, of_images, own = run(next(iter(strategy.experimental_distribute_dataset(data))))
    joined = [np.concatenate(strategy.experimental_local_results(part)) for part in (values, of_images)]
    gradients = [np.asarray(strategy.experimental_local_results(part)[0]) for part in own]
    mean, variance = layer.get_weights()[2:]
    return dict(zip(("values", "input gradient"), joined, strict=True)) | {
        "scale gradient": gradients[0], "offset gradient": gradients[1], "mean": mean, "variance": variance,
    }  # fmt: skip


def difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    return {key: float(np.abs(one[key] - other[key]).max() / np.abs(one[key]).max()) for key in one}


report = {
    "synchronised": difference(step(ONE, BatchNormalization(momentum=0.75)),
                               step(TWO, BatchNormalization(momentum=0.75, synchronized=True))),
    "apart": difference(step(ONE, BatchNormalization(momentum=0.75)), step(TWO, BatchNormalization(momentum=0.75))),
}  # fmt: skip
json.dump(report, sys.stdout)
