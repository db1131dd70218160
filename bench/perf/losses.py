"""Time and memory of each loss, forward and backward, beside the same formula of the public libraries.

    python -m bench.perf.losses [--size 512] [--classes 3 21 150] [--losses dice focal] [--xla] [--json FILE]

With --json a later run on the same machine adds to the file. So one can measure time now, and memory (--no-time) when
the machine is busy.

Milliseconds are the median of rounds in which the sides take turns, for one `tf.function` of the loss and its gradient
with respect to the logits. All sides start from labels of class ids and float32 logits, as a data pipeline and a model
produce them. Conversions that a library needs (one-hot labels, probabilities) are part of its step. The ratio is ours
to the fastest peer. Memory is the peak above labels and logits, including the gradient: on a CPU the growth of the
largest resident set of a fresh process, on a GPU TensorFlow's own count. `nothing` is a step whose gradient is the
logits.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import psutil
import tensorflow as tf

import losses
from bench.core import describe
from bench.perf.ratios import stack
from bench.perf.rounds import in_fresh_process, milliseconds
from models.compat import import_keras_cv

keras_cv = import_keras_cv()

Function = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
OURS, NOTHING, VOID = "ours", "nothing", 255


class Case(NamedTuple):
    """What is measured: a loss on `batch` images of `size` x `size` pixels."""

    loss: str
    size: int
    classes: int
    batch: int
    xla: bool


def sides(loss: str) -> dict[str, Function]:
    """Return our loss and the installed public implementations of its formula, as functions of ids and logits."""
    if loss == NOTHING:
        return {OURS: lambda _, logits: tf.reduce_sum(tf.square(logits)) / 2.0}
    return {OURS: losses.get(loss, ignore_index=VOID), **peers().get(loss, {})}


def peers() -> dict[str, dict[str, Function]]:
    """Return the public implementations by the name of our loss and the name of the library."""
    known = keras.losses
    axes = (0, 1, 2)  # Keras' default also sums over the classes, which is no overlap
    bce = known.BinaryCrossentropy(from_logits=True)
    found: dict[str, dict[str, Function]] = {
        "cross_entropy": {
            "Keras": known.SparseCategoricalCrossentropy(from_logits=True),
            "Keras, ignore_class": known.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID),
        },
        "bce": {"Keras": of_one_hot(bce)},
        "focal": {"Keras": of_one_hot(known.CategoricalFocalCrossentropy(alpha=1.0, from_logits=True))},
        "sigmoid_focal": {
            "Keras": of_one_hot(known.BinaryFocalCrossentropy(apply_class_balancing=True, from_logits=True)),
            "KerasCV": of_one_hot(keras_cv.losses.FocalLoss(from_logits=True)),
        },
    }
    if hasattr(known, "Dice"):
        dice = of_one_hot(known.Dice(axis=axes), tf.nn.softmax)
        found["dice"] = {"Keras": dice}
        found["dice_bce"] = {"Keras": lambda ids, logits: dice(ids, logits) + of_one_hot(bce)(ids, logits)}
        found["tversky"] = {"Keras": of_one_hot(known.Tversky(0.7, 0.3, axis=axes), tf.nn.softmax)}  # swapped in Keras
        found["jaccard"] = {"Keras": of_one_hot(known.Tversky(1.0, 1.0, axis=axes), tf.nn.softmax)}
    if hasattr(known, "CategoricalGeneralizedCrossEntropy"):
        gce = known.CategoricalGeneralizedCrossEntropy(q=0.7)
        found["gce"] = {
            "Keras": lambda ids, logits: gce(
                tf.reshape(ids, [-1]), tf.nn.softmax(tf.reshape(logits, [-1, logits.shape[-1]]))
            )
        }
    if keras.__version__.startswith("2."):
        import tensorflow_addons as tfa

        found["sigmoid_focal"]["Addons"] = of_one_hot(tfa.losses.SigmoidFocalCrossEntropy(from_logits=True))
    return found


def of_one_hot(loss: Function, activation: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> Function:
    """Return a loss of one-hot labels as a function of ids and logits."""
    return lambda ids, logits: loss(tf.one_hot(ids, logits.shape[-1]), activation(logits))


def step(function: Function, xla: bool) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return a traced function from ids and logits to the gradient of the loss with respect to the logits."""

    @tf.function(jit_compile=xla)
    def gradient(ids: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = tf.reduce_mean(function(ids, logits))
        return tape.gradient(value, logits)

    return gradient


def pictures(case: Case) -> tuple[tf.Tensor, tf.Tensor]:
    """Return random ids (B,H,W) int32 and logits (B,H,W,C) float32."""
    rng = np.random.default_rng(0)
    shape = (case.batch, case.size, case.size)
    ids = rng.integers(0, case.classes, shape, np.int32)
    return tf.constant(ids), tf.constant(rng.standard_normal((*shape, case.classes), np.float32))


def times_of(case: Case, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each side."""
    ids, logits = pictures(case)
    steps = {side: step(function, case.xla) for side, function in sides(case.loss).items()}
    runs = {side: partial(lambda run: finish(run(ids, logits)), run) for side, run in steps.items()}
    return milliseconds(runs, rounds, warm_up=2, seconds=6.0)


def finish(gradient: tf.Tensor) -> None:
    """Wait for the device, without copying the gradient from it."""
    gradient[0, 0, 0, 0].numpy()


def mebibytes(case: Case, side: str) -> float:
    """Return the peak memory of one step, in MiB. On a CPU use a fresh process, where no freed memory is reused."""
    run = step(sides(case.loss)[side], case.xla)
    finish(run(*pictures(case._replace(size=32))))
    ids, logits = pictures(case)
    if tf.config.list_physical_devices("GPU"):
        finish(run(ids, logits))
        tf.config.experimental.reset_memory_stats("GPU:0")
        before = tf.config.experimental.get_memory_info("GPU:0")["current"]
        finish(run(ids, logits))
        return (tf.config.experimental.get_memory_info("GPU:0")["peak"] - before) / 2**20
    process, unit = psutil.Process(), 1 if sys.platform == "darwin" else 1024
    # An allocation that is too large must fail here, not bring the machine down.
    limit = process.memory_info().vms + int(0.8 * psutil.virtual_memory().available)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    # Imports may have held more than is held now. Filled up to that, any growth shows in the largest resident set.
    gap = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - process.memory_info().rss
    ballast = np.ones(max(gap, 0), np.uint8)
    before = process.memory_info().rss
    finish(run(ids, logits))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before
    del ballast
    return grown / 2**20


def measured_memory(case: Case) -> dict[str, float | None]:
    """Return `mebibytes` of each side, on a CPU each in a fresh process; None if memory did not suffice."""
    found: dict[str, float | None] = {}
    for side in sides(case.loss):
        try:
            if tf.config.list_physical_devices("GPU"):
                found[side] = mebibytes(case, side)
            else:
                found[side] = in_fresh_process(mebibytes, case, side)
        except (tf.errors.ResourceExhaustedError, MemoryError, BrokenProcessPool):
            found[side] = None
    return found


def measure(cases: Iterable[Case], rounds: int, time: bool, memory: bool) -> Iterable[dict[str, Any]]:
    """Yield one row per case. Times are measured only if the memory of all sides sufficed."""
    for case in cases:
        held = measured_memory(case) if memory else {}
        fits = all(value is not None for value in held.values())
        times = times_of(case, rounds) if time and fits else {}
        yield {**case._asdict(), "milliseconds": times, "mebibytes": held}


class Kept:
    """The rows in a file, to which rows are added. Figures that are not measured again are kept."""

    def __init__(self, path: Path) -> None:
        gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
        self.path, self.rows = path, dict[Case, dict[str, Any]]()
        self.machine = json.loads(json.dumps({"environment": describe(), "gpus": gpus}, default=str))
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            for key in ("processor", "cores", "tensorflow", "keras"):
                if stored["environment"][key] != self.machine["environment"][key]:
                    raise SystemExit(f"{path}: measured with {key} {stored['environment'][key]}; name another file")
            for row in stored["rows"]:
                self.add(row)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, or update the row of its case."""
        case = Case(*(row[name] for name in Case._fields))
        old = self.rows.get(case, {})
        self.rows[case] = row | {key: row[key] or old.get(key, {}) for key in ("milliseconds", "mebibytes")}

    def write(self) -> None:
        """Write machine and rows to the file."""
        text = json.dumps({**self.machine, "rows": list(self.rows.values())}, indent=1)
        self.path.write_text(text + "\n", encoding="utf-8")


HEADER = (
    "| loss | classes | batch | ms | MiB | peer | its ms | its MiB | ratio |\n|---|--:|--:|--:|--:|---|--:|--:|--:|"
)


def line(row: dict[str, Any]) -> str:
    """Return a row of the table, with the fastest peer."""
    times, held = row["milliseconds"], row["mebibytes"]
    peer = min((side for side in times if side != OURS), key=times.get, default="")
    ratio = f"{times[OURS] / times[peer]:.2f}" if peer else ""
    cells = [
        row["loss"], row["classes"], row["batch"], number(times.get(OURS), 1), number(held.get(OURS)),
        peer, number(times.get(peer), 1), number(held.get(peer)), ratio,
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def number(value: float | None, digits: int = 0) -> str:
    """Return a number as text, empty for None."""
    return "" if value is None else f"{value:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.perf.losses", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels")
    parser.add_argument("--classes", type=int, nargs="+", default=[3, 21, 150])
    parser.add_argument("--batch", type=int, help="pictures; default 2, with more than 100 classes 1")
    parser.add_argument("--losses", nargs="+", default=[NOTHING, *losses.names()], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--xla", action="store_true", help="compile the steps")
    parser.add_argument("--no-memory", action="store_true", help="time only")
    parser.add_argument("--no-time", action="store_true", help="memory only")
    parser.add_argument("--json", type=Path, help="write the figures and the machine here")
    chosen = parser.parse_args()
    cases = [
        Case(loss, chosen.size, classes, chosen.batch or (1 if classes > 100 else 2), chosen.xla)
        for classes in chosen.classes
        for loss in chosen.losses
    ]
    print(f"{stack()}, {chosen.size} x {chosen.size}")
    print(HEADER, flush=True)
    kept = Kept(chosen.json) if chosen.json else None
    for row in measure(cases, chosen.rounds, not chosen.no_time, not chosen.no_memory):
        print(line(row), flush=True)
        if kept:  # after each row, so that a long run that is stopped keeps its rows
            kept.add(row)
            kept.write()


if __name__ == "__main__":
    main()
