"""The time from the command to the first training step, compared with the least that has to happen.

    python -m bench.perf.startup [--set FIELD=VALUE] [--rounds 3] [--json FILE]

Ours is `python -m bench.trial` from the start of the process until it reports its first step, with data set, checks,
strategy and record. It is measured with the images in the cache, where the first trial of a grid leaves them, and with
an empty cache. The other side is a script that imports TensorFlow, builds the same model, and traces and runs one step
on zeros, until it prints the loss. All run in fresh processes and take turns. `bench.perf.profile` prints the phases.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.core import CACHE_VARIABLE, UsageError, command, start
from bench.perf.ratios import Ratio, report
from bench.plan import default_precision, single

LEAST = """
import json, sys
import keras, tensorflow as tf
import losses, models
from bench.trial.optimizers import Adam, make_variables
asked = json.loads(sys.argv[1])
keras.mixed_precision.set_global_policy(asked["precision"])
model = models.build(models.ModelSpec.model_validate(asked["model"]), asked["classes"], seed=0)
loss, optimizer = losses.get(asked["loss"]), Adam()
make_variables(optimizer, model.trainable_variables)
@tf.function
def step(image, label):
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss.call(label, model(image, training=True)))
    optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_variables), model.trainable_variables))
    return value
batch, crop = asked["batch"], asked["crop"]
print("loss", float(step(tf.zeros((batch, crop, crop, 3)), tf.zeros((batch, crop, crop), tf.int32))), flush=True)
"""
CLASSES = 8  # of the embedded scenes
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}


def until(line: str, arguments: Sequence[str], environment: dict[str, str]) -> float:
    """Return the seconds from the start of a Python process to its first line of output that starts with `line`.

    The process runs to its end.

    Raises:
        UsageError: the process fails, or prints no such line.
    """
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = None
    for said in process.stdout:
        first = first or (time.perf_counter() - began if said.startswith(line) else None)
    if process.wait() or first is None:
        raise UsageError(f"`python {' '.join(arguments)[:200]}` failed before its first step")
    return first


@command
def main(
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    rounds: Annotated[int, typer.Option(min=3)] = 3,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Compare the time to the first step; exit status 1 when a bar is missed."""
    spec = single(set_ or [], "quick", default_precision(0, []))
    if spec.data.dataset != "scenes" or spec.loss.params:
        raise UsageError("--set: only the embedded pictures and a loss without parameters have a bare side")
    asked = {
        "model": spec.model.model_dump(mode="json"), "loss": spec.loss.name, "precision": spec.train.precision,
        "batch": spec.train.batch_size, "crop": spec.data.crop, "classes": CLASSES,
    }  # fmt: skip
    options = [part for value in set_ or [] for part in ("--set", value)]
    with tempfile.TemporaryDirectory() as home:

        def trial(number: int, cache: str) -> float:
            where = ["--preset", "quick", *options, "--out", f"{home}/{cache}-{number}"]
            return until("epoch 1", ["-m", "bench.trial", *where], {**ENVIRONMENT, CACHE_VARIABLE: f"{home}/{cache}"})

        sides = {
            "cached": lambda number: trial(number, "cache"),
            "empty": lambda number: trial(number, f"cache-{number}"),
            "least": lambda number: until("loss", ["-c", LEAST, json.dumps(asked)], ENVIRONMENT),
        }
        spent: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(rounds + 1):
            for name in sides if number % 2 == 0 else reversed(sides):
                spent[name].append(sides[name](number))
    took = {name: statistics.median(values[1:]) for name, values in spent.items()}  # the first round filled the cache
    against = "import, build and trace alone"
    return report(
        [
            Ratio("command to first step, pictures cached", "s", took["cached"], against, took["least"], at_most=1.5),
            Ratio("command to first step, cache empty", "s", took["empty"], against, took["least"]),
        ],
        out,
    )


if __name__ == "__main__":
    start(main)
