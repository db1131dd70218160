"""A process that ends while slow calls are under way for an iterator, for one over two devices, and for `fit`.

Prints, after `bench.data.tfdata_exit` is done, how many calls are under way, and how many were begun then and later.
"""

import atexit
import json
import time

calls = {"begun": 0, "ended": 0}


def report():
    begun = calls["begun"]
    under_way = begun - calls["ended"]
    time.sleep(1.0)  # whatever would still come
    print(json.dumps({"under way": under_way, "begun later": calls["begun"] - begun}))


atexit.register(report)  # before that of the pipeline, so called after it

import tensorflow as tf  # noqa: E402

from bench.data import pipeline  # noqa: E402
from bench.data.tfdata_exit import quiet_at_exit  # noqa: E402


def slow(step):
    calls["begun"] += 1
    time.sleep(1.0)
    calls["ended"] += 1
    return step


def number(step):
    return tf.ensure_shape(tf.numpy_function(quiet_at_exit(slow), [step], tf.int64), ())


def batches():
    return pipeline._mapped(range(10**6), number, 8)


cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
fetching = tf.distribute.InputOptions(experimental_fetch_to_device=True)
iterators = [
    iter(batches()),
    iter(batches().map(lambda step: step + 1).batch(2).prefetch(2)),
    iter(strategy.experimental_distribute_dataset(batches().batch(2), fetching)),
]
for iterator in iterators:
    next(iterator)
while calls["begun"] == calls["ended"]:
    time.sleep(0.01)
