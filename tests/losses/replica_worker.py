"""Run by test_replicas.py in a process of its own: the update of every loss on one and on two logical CPUs.

If TF_CONFIG names two workers, the two CPUs are theirs. Prints one JSON object: case -> relative difference of the
update and of the loss value; and, for losses of Keras, the norm of the update of two over that of one, and the relative
difference of the two.
"""

import gc
import json
import os
import sys

import keras
import numpy as np
import tensorflow as tf

import losses
from losses.core.base import AVERAGES

gc.set_threshold(10_000, 10, 10)  # as a trial has it
if "TF_CONFIG" in os.environ:
    TWO = tf.distribute.MultiWorkerMirroredStrategy()
else:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    # One strategy a process with device-local reduction: collectives of a second one would clash.
    TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
assert TWO.num_replicas_in_sync == 2
GRAPHS = "--graphs" in sys.argv or "TF_CONFIG" in os.environ
ONE = tf.distribute.get_strategy()

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
# One of each way in which the devices share a sum. They are traced, and evaluated too: `evaluate` differs from `fit` in
# nothing that a loss could see. The others run without a graph on both (a loss is the same in one: test_laws), because
# tracing takes the time here; with --graphs they are traced as well.
EVALUATED = ("cross_entropy", "dice", "lovasz_softmax", "top_k", "dice_bce", "scheduled_mix")


def build(names: list[str]) -> keras.Model:
    """One head a name, each the same at first; what one learns does not hang on the others."""
    inputs = keras.Input((H, W, 4))
    heads = {name: keras.layers.Conv2D(C, 1, use_bias=False, name=name) for name in names}
    model = keras.Model(inputs, {name: head(inputs) for name, head in heads.items()})
    for head in heads.values():
        head.set_weights([KERNEL])
    return model


class Loop:
    """A loop of one's own over one batch: the update and value of any loss, each from the same kernel."""

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        with strategy.scope():
            self.kernel = tf.Variable(KERNEL)
        data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, WEIGHTS)).batch(B)
        self.batch = next(iter(strategy.experimental_distribute_dataset(data)))

    def __call__(self, name: str, average: str) -> tuple[np.ndarray, float]:
        loss = losses.get(name, average=average, reduction="none")

        def step(images, labels, weights):
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(loss(labels, tf.nn.conv2d(images, self.kernel, 1, "SAME"), weights)) / B
            gradient = tf.distribute.get_replica_context().all_reduce("SUM", tape.gradient(value, self.kernel))
            return gradient, value

        def run(batch):
            gradient, value = self.strategy.run(step, args=batch)
            return self.strategy.experimental_local_results(gradient)[0], self.strategy.reduce("SUM", value, axis=None)

        # On one device a loss is the same in a graph and outside (test_laws), and tracing takes the time here.
        run = tf.function(run, autograph=False) if self.strategy is TWO and name in EVALUATED else run
        gradient, value = run(self.batch)
        return gradient.numpy(), float(value)


def fitted(
    loss: dict[str, object], strategy: tf.distribute.Strategy, labels: dict[str, np.ndarray], *weights: np.ndarray
) -> dict[str, tuple[np.ndarray, float]]:
    """Of each loss the update of `fit`, large beside the kernel so that no digit of it is lost, and its value, which is
    that of `evaluate`."""
    with strategy.scope():
        model = build([*loss])
        traced = strategy is TWO and (GRAPHS or {*loss} <= {*EVALUATED})
        model.compile(keras.optimizers.SGD(1e3), loss, jit_compile=False, run_eagerly=not traced)
        model.optimizer.build(model.trainable_variables)
        if keras.__version__.startswith("2."):  # it makes its means in a first trace, and traces again
            model.compiled_loss.build(model.output)
    data = (IMAGES, labels, *(dict.fromkeys(loss, given) for given in weights))
    batches = tf.data.Dataset.from_tensor_slices(data).batch(B)
    values = {name: "loss" if len(loss) == 1 else f"{name}_loss" for name in loss}
    evaluated = model.evaluate(batches, verbose=0, return_dict=True) if {*loss} <= {*EVALUATED} else {}
    history = model.fit(batches, epochs=1, verbose=0).history
    for value in values.values() if evaluated else ():
        assert abs(history[value][0] - evaluated[value]) <= 1e-6 * abs(evaluated[value])
    return {name: (KERNEL - model.get_layer(name).get_weights()[0], history[values[name]][0]) for name in loss}


def by_fit(names: list[str], strategy: tf.distribute.Strategy) -> dict[str, tuple[np.ndarray, float]]:
    with strategy.scope():
        loss = {name: losses.get(name, average=averages(name)[0]) for name in names}
    return fitted(loss, strategy, dict.fromkeys(loss, LABELS), WEIGHTS)


def of_keras(loss: dict[str, object], labels: dict[str, np.ndarray]) -> dict[str, list[float]]:
    one, two = (fitted(loss, strategy, labels) for strategy in (ONE, TWO))
    updates = {name: (one[name][0], two[name][0]) for name in loss}
    return {
        name: [float(np.linalg.norm(b) / np.linalg.norm(a)), float(np.abs(b - a).max() / np.abs(a).max())]
        for name, (a, b) in updates.items()
    }


def difference(of_one: tuple[np.ndarray, float], of_two: tuple[np.ndarray, float]) -> list[float]:
    (one, value_one), (two, value_two) = of_one, of_two
    assert np.abs(one).max() > 1e-4
    return [float(np.abs(two - one).max() / np.abs(one).max()), abs(value_two - value_one) / abs(value_one)]


def averages(name: str) -> tuple[str, ...]:
    """Those that a loss has, its default first."""
    loss = losses.get(name)
    return tuple(sorted(getattr(loss, "averages", AVERAGES), key=lambda average: average != loss.average))


report = {}
# One alone, the others as heads of two models: tracing takes the time here.
alone, *together = EVALUATED
for names in ([alone], together, [name for name in losses.names() if name not in EVALUATED]):
    # To rewrite a graph of many losses takes longer than to trace it. The first is run as any trial runs it.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": names != [alone]})
    one, two = (by_fit(names, strategy) for strategy in (ONE, TWO))
    report |= {f"fit {name} {averages(name)[0]}": difference(one[name], two[name]) for name in names}
loops = Loop(ONE), Loop(TWO)
for name in losses.names():
    first, *others = averages(name)
    for average in others or [first]:
        one, two = (loop(name, average) for loop in loops)
        report[f"loop {name} {average}"] = difference(one, two)
cross_entropy = keras.losses.SparseCategoricalCrossentropy
even = RNG.integers(0, C, (B, H, W)).astype(np.int32)
stock = {
    "scalar": lambda ids, logits: tf.reduce_mean(
        keras.losses.sparse_categorical_crossentropy(ids, logits, from_logits=True)
    ),
    "pixels": cross_entropy(from_logits=True),
    "void": cross_entropy(from_logits=True, ignore_class=255),
}
of_stock = of_keras(stock, {"scalar": even, "pixels": even, "void": LABELS.astype(np.int32)})
report |= {f"keras {name}": differences for name, differences in of_stock.items()}
json.dump(report, sys.stdout)
