"""Our DeepLabV3+ beside KerasCV's stock one (stride 32) and the keras.io tutorial's (16): images/s and memory.

    python -m bench.perf.models [--cases efficientnetlite_b0:160:8 resnet50:512:2] [--precision float32] [--json FILE]

All have the same backbone, random weights, size, batch and precision; a training step is the forward pass,
cross-entropy, the backward pass and Adam. The tutorial, which ends its ResNet50 at conv4, is compared where the
backbone is ResNet50. Images/s come from the median of rounds in which the sides take turns in one process. Memory is
the peak of a training step in a fresh process (on a CPU its largest resident set, on a GPU TensorFlow's own count);
that of decoder and head, the ASPP among them, is what it exceeds the same step of the backbone alone by. `kept` is
what the backward pass keeps of decoder and head by the traced graph (see `models.cost`). The share of the machine
counts 3 forward passes' operations a training step and takes the faster of a matrix product and a 3x3 convolution,
measured in the same process, as all there is.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import argparse
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import losses
import models
from bench.environment import peak_rss_mb
from bench.perf import peak, tutorial
from bench.perf.ratios import Ratio, report
from bench.perf.rounds import medians
from models.backbones import BACKBONES
from models.builder import BACKBONE
from models.cost import cost_of
from models.pyramid import bare

OURS, STOCK, OURS_16, TUTORIAL = "ours", "KerasCV", "ours, stride 16", "the keras.io tutorial"
SPECS = {
    OURS: {"architecture": "deeplabv3plus", "output_stride": 32},
    STOCK: {"architecture": "keras_cv", "output_stride": 32},
    OURS_16: {"architecture": "deeplabv3plus", "output_stride": 16},
}
PAIR = (OURS, STOCK)
# What ours is held to: training images/s over the stock model's at least, memory of decoder and head at most.
SPEED_BARS = {("efficientnetlite_b0", 160): 5.0, ("resnet50", 512): 1.5}
MEMORY_BAR = 0.6
SHARE, PEAK = "share", "the most this machine does"


class Case(NamedTuple):
    """What is measured."""

    backbone: str
    size: int
    batch: int
    classes: int
    precision: str


def build(case: Case, side: str) -> keras.Model:
    keras.mixed_precision.set_global_policy(case.precision)
    if side == TUTORIAL:
        return tutorial.tutorial(case.size, case.classes)
    return models.build(models.ModelSpec.model_validate({**SPECS[side], "backbone": case.backbone}), case.classes)


def backbone(case: Case, side: str) -> keras.Model:
    """What stands in front of decoder and head on that side."""
    if side == OURS:
        return build(case, side).get_layer(BACKBONE)
    keras.mixed_precision.set_global_policy(case.precision)
    whole = bare(BACKBONES[case.backbone])
    levels = (whole.pyramid_level_inputs[name] for name in ("P2", "P5"))
    return keras.Model(whole.input, [whole.get_layer(name).output for name in levels])


def training_step(model: keras.Model, case: Case) -> Callable[[], None]:
    """One step on one batch; a model without logits, a backbone, is pulled to zero."""
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
    image = tf.constant(np.random.default_rng(0).uniform(0, 255, (case.batch, case.size, case.size, 3)), tf.float32)
    step = tf.function(lambda image: model(image, training=False))
    return lambda: step(image)[0, 0, 0, 0].numpy()  # waits for the device without copying the logits


def images_per_second(case: Case, rounds: int) -> dict[str, dict[str, float]]:
    """{"training" or "inference": {side: images/s}}, and {SHARE: {OURS: FLOP/s in training, PEAK: the most}}."""
    sides = [*PAIR, *((OURS_16, TUTORIAL) if case.backbone == tutorial.BACKBONE else ())]
    built = {side: build(case, side) for side in sides}
    found = {}
    for name, make in (("training", training_step), ("inference", inference_step)):
        steps = {side: make(model, case) for side, model in built.items()}
        found[name] = {side: case.batch / seconds for side, seconds in medians(steps, rounds, warm_up=2).items()}
    flops = 3 * cost_of(built[OURS], (case.size, case.size)).flops
    most = max(peak.flops_per_second(case.precision).values())
    return {**found, SHARE: {OURS: flops * found["training"][OURS], PEAK: most}}


def peak_memory(case: Case, side: str, whole: bool) -> float:
    """Peak MiB of training steps of the model or of its backbone; of use in a fresh process only."""
    run = training_step((build if whole else backbone)(case, side), case)
    for _ in range(3):
        run()
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    return peak_rss_mb()


def kept(case: Case, side: str) -> float:
    """MiB that the backward pass keeps of decoder and head, by the traced graph."""
    sides = (case.size, case.size)
    whole, front = (cost_of(make(case, side), sides).activation_bytes for make in (build, backbone))
    return case.batch * (whole - front) / 2**20


def memory(case: Case) -> dict[str, dict[str, float]]:
    """{"peak", "decoder and head" or "kept": {side: MiB}}."""
    found: dict[str, dict[str, float]] = {"peak": {}, "decoder and head": {}, "kept": {}}
    for side in PAIR:
        whole, front = (_in_fresh_process(peak_memory, case, side, whole) for whole in (True, False))
        found["peak"][side], found["decoder and head"][side] = whole, whole - front
        found["kept"][side] = _in_fresh_process(kept, case, side)
    return found


def _in_fresh_process(function: Callable[..., Any], *arguments: object) -> Any:
    """Everything is measured in processes of their own: a child's largest resident set starts with its parent's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def ratios(case: Case, measured: dict[str, dict[str, float]]) -> list[Ratio]:
    """Ours over the others', with the bar where there is one."""
    units = {"training": "images/s", "inference": "images/s"}
    found = []
    for name, values in measured.items():
        where = f"{case.backbone}, {case.batch} x {case.size} px"
        what = f"{name}, {where}"
        if name == SHARE:
            found.append(Ratio(f"training, {where}", "GFLOP/s", values[OURS] / 1e9, PEAK, values[PEAK] / 1e9))
            continue
        low = SPEED_BARS.get((case.backbone, case.size)) if name == "training" else None
        high = MEMORY_BAR if name == "decoder and head" else None
        found.append(Ratio(what, units.get(name, "MiB"), values[OURS], STOCK, values[STOCK], low, high))
        if TUTORIAL in values:
            found.append(
                Ratio(
                    f"{what}, stride 16, conv5 in ours alone", units[name], values[OURS_16], TUTORIAL, values[TUTORIAL]
                )
            )
    return found


def _case(text: str, classes: int, precision: str) -> Case:
    try:
        name, size, batch = text.split(":")
        return Case(name, int(size), int(batch), classes, precision)
    except ValueError:
        raise SystemExit(f"--cases {text}: BACKBONE:PIXELS:BATCH is wanted, as in resnet50:512:2") from None


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
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {os.cpu_count()} cores, {chosen.precision}")
    found: list[Ratio] = []
    for case in [_case(text, chosen.classes, chosen.precision) for text in chosen.cases]:
        measured = {} if chosen.no_time else _in_fresh_process(images_per_second, case, chosen.rounds)
        measured |= {} if chosen.no_memory else memory(case)
        found += ratios(case, measured)
    return report(found, chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
