"""Our DeepLabV3+ beside KerasCV's stock one (stride 32) and the keras.io tutorial's (16): images/s and memory.

    python -m bench.perf.models [--cases efficientnetlite_b0:160:8 resnet50:512:2] [--precision float32] [--json FILE]

All have the same backbone, random weights, size, batch and precision. A training step is the forward pass,
cross-entropy, the backward pass and Adam. The tutorial, which ends its ResNet50 at conv4, is compared if the backbone
is ResNet50. Images/s come from the median of rounds in which the sides take turns in one process.

Memory is the peak of a fresh process that trains: on a CPU its largest resident set, including TensorFlow, on a GPU
TensorFlow's own count. Memory of decoder, ASPP and head is this peak minus the peak of a process with the backbone
alone. `kept` is what the backward pass keeps of decoder and head, by the traced graph (see `models.inference.cost`).

The share of the machine counts the operations of 3 forward passes per training step. Its maximum is the faster of a
matrix product and a 3x3 convolution, the best of the same rounds. The bars on images/s are for a CPU.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import losses
import models
from bench.core import peak_rss_mb
from bench.perf import peak, tutorial
from bench.perf.ratios import Ratio, keep, report, stack
from bench.perf.rounds import in_fresh_process, quartiles, times
from models import BACKBONES, builder, cost_of
from models.encoder.pyramid import build_backbone

OURS, STOCK, OURS_16, TUTORIAL = "ours", "KerasCV", "ours, stride 16", "the keras.io tutorial"
SPECS = {
    OURS: {"architecture": "deeplabv3plus", "output_stride": 32},
    STOCK: {"architecture": "keras_cv", "output_stride": 32},
    OURS_16: {"architecture": "deeplabv3plus", "output_stride": 16},
}
PAIR = (OURS, STOCK)
# Bars of ours / stock: least ratio of training images/s, and largest ratio of the memory of decoder and head.
SPEED_BARS = {("efficientnetlite_b0", 160): 5.0, ("resnet50", 512): 1.5}
MEMORY_BAR = 0.6
PEAK = "the most this machine does"


class Case(NamedTuple):
    """What is measured: a backbone at `batch` images of `size` x `size` pixels."""

    backbone: str
    size: int
    batch: int
    classes: int
    precision: str

    def __str__(self) -> str:
        return f"{self.backbone}, {self.batch} x {self.size} px"


def build(case: Case, side: str) -> keras.Model:
    """Return the model of a side, with random weights."""
    keras.mixed_precision.set_global_policy(case.precision)
    if side == TUTORIAL:
        return tutorial.tutorial(case.size, case.classes)
    return models.build(models.ModelSpec.model_validate({**SPECS[side], "backbone": case.backbone}), case.classes)


def backbone(case: Case, side: str) -> keras.Model:
    """Return the part of a side's model in front of decoder and head."""
    keras.mixed_precision.set_global_policy(case.precision)
    if side == OURS:
        return builder.build_encoder(models.ModelSpec.model_validate({**SPECS[OURS], "backbone": case.backbone}))
    whole = build_backbone(BACKBONES[case.backbone])
    levels = (whole.pyramid_level_inputs[name] for name in ("P2", "P5"))
    return keras.Model(whole.input, [whole.get_layer(name).output for name in levels])


def training_step(model: keras.Model, case: Case) -> Callable[[], None]:
    """Return a function that does one training step on one batch.

    The loss of a backbone, which has no logits, is the sum of the mean squares of its outputs.
    """
    rng = np.random.default_rng(0)
    shape = (case.batch, case.size, case.size)
    image = tf.constant(rng.uniform(0, 255, (*shape, 3)), tf.float32)
    label = tf.constant(rng.integers(0, case.classes, shape), tf.int32)
    loss, optimizer = losses.get("cross_entropy"), keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(image: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            found = model(image, training=True)
            if isinstance(found, list | tuple):
                value = tf.add_n([tf.reduce_mean(tf.square(tf.cast(one, tf.float32))) for one in found])
            else:
                value = loss(label, found)
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    return lambda: step(image, label).numpy()


def inference_step(model: keras.Model, case: Case) -> Callable[[], None]:
    """Return a function that does one forward pass on one batch."""
    image = tf.constant(np.random.default_rng(0).uniform(0, 255, (case.batch, case.size, case.size, 3)), tf.float32)
    step = tf.function(lambda image: model(image, training=False))
    return lambda: step(image)[0, 0, 0, 0].numpy()  # waits for the device without copying the logits


def speed(case: Case, rounds: int) -> list[Ratio]:
    """Return the ratios of images/s, ours to the others, and the share of the machine's maximum, measured in turns."""
    sides = [*PAIR, *((OURS_16, TUTORIAL) if case.backbone == tutorial.BACKBONE else ())]
    built = {side: build(case, side) for side in sides}
    kernels = peak.sides(case.precision)
    steps: dict[str, Callable[[], object]] = {side: training_step(model, case) for side, model in built.items()}
    trained = times(steps | {name: call for name, (call, _) in kernels.items()}, rounds, warm_up=2)
    inferred = times({side: inference_step(model, case) for side, model in built.items()}, rounds, warm_up=2)
    rates = {name: done / min(trained[name]) for name, (_, done) in kernels.items()}
    most = max(rates, key=lambda name: rates[name])
    flops = 3 * cost_of(built[OURS], (case.size, case.size)).flops * case.batch / statistics.median(trained[OURS])
    share = Ratio(f"training, {case}", "GFLOP/s", flops / 1e9, f"{PEAK} ({most})", rates[most] / 1e9)
    # The bars are those of a CPU.
    bar = None if tf.config.list_physical_devices("GPU") else SPEED_BARS.get((case.backbone, case.size))
    return [*_pairs("training", case, trained, bar), *_pairs("inference", case, inferred, None), share]


def _pairs(name: str, case: Case, seconds: dict[str, list[float]], bar: float | None) -> list[Ratio]:
    """Return the ratios of ours to the stock model, and to the tutorial's if it was measured."""

    def ratio(what: str, ours: str, other: str, bar: float | None) -> Ratio:
        rates = [case.batch / statistics.median(seconds[side]) for side in (ours, other)]
        spread = quartiles(seconds[other], seconds[ours])
        return Ratio(what, "images/s", rates[0], other, rates[1], at_least=bar, spread=spread)

    found = [ratio(f"{name}, {case}, stride 32", OURS, STOCK, bar)]
    if TUTORIAL in seconds:
        found.append(ratio(f"{name}, {case}, stride 16, conv5 in ours alone", OURS_16, TUTORIAL, None))
    return found


def peak_memory(case: Case, side: str, whole: bool) -> float:
    """Return the peak MiB of training steps of the model, or of its backbone. Call it in a fresh process."""
    run = training_step((build if whole else backbone)(case, side), case)
    for _ in range(3):
        run()
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    return peak_rss_mb()


def kept(case: Case, side: str) -> float:
    """Return the MiB that the backward pass keeps of decoder and head, by the traced graph."""
    sides = (case.size, case.size)
    whole, front = (cost_of(make(case, side), sides).activation_bytes for make in (build, backbone))
    return case.batch * (whole - front) / 2**20


def memory(case: Case) -> list[Ratio]:
    """Return the ratios of MiB, ours to the stock model's."""
    found: dict[str, list[float]] = {"peak of a process that trains": [], "decoder and head": [], "kept": []}
    for side in PAIR:
        whole, front = (in_fresh_process(peak_memory, case, side, whole) for whole in (True, False))
        for values, value in zip(
            found.values(), (whole, whole - front, in_fresh_process(kept, case, side)), strict=True
        ):
            values.append(value)
    bars = {"decoder and head": MEMORY_BAR}
    return [
        Ratio(f"{name}, {case}", "MiB", ours, STOCK, stock, at_most=bars.get(name))
        for name, (ours, stock) in found.items()
    ]


def _case(text: str, classes: int, precision: str) -> Case:
    """Return the case of an argument BACKBONE:PIXELS:BATCH."""
    try:
        name, size, batch = text.split(":")
        return Case(name, int(size), int(batch), classes, precision)
    except ValueError:
        raise SystemExit(f"--cases {text}: expected BACKBONE:PIXELS:BATCH, such as resnet50:512:2") from None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.perf.models", description=(__doc__ or "").splitlines()[0])
    cases = ["efficientnetlite_b0:160:8", "resnet50:512:2"]
    parser.add_argument("--cases", nargs="+", default=cases, metavar="BACKBONE:PIXELS:BATCH")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--precision", default="float32", help="a Keras dtype policy; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--no-time", action="store_true", help="memory only")
    parser.add_argument("--no-memory", action="store_true", help="time only")
    parser.add_argument("--json", type=Path, help="write the figures and the machine here")
    chosen = parser.parse_args()
    print(f"{stack()}, {chosen.precision}")
    found: list[Ratio] = []
    for case in [_case(text, chosen.classes, chosen.precision) for text in chosen.cases]:
        found += [] if chosen.no_time else in_fresh_process(speed, case, chosen.rounds)
        keep(found, chosen.json)
        found += [] if chosen.no_memory else memory(case)
        keep(found, chosen.json)
    return report(found, chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
