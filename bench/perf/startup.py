"""From the command to the first training step, beside the least that has to happen; and where a trial's time goes.

    python -m bench.perf.startup [--set FIELD=VALUE] [--rounds 3] [--json FILE]

Ours is `python -m bench.trial` from the start of the process until it reports its first step, with data set, checks,
strategy and record. The other side is a script that imports TensorFlow, builds the same model and traces and runs one
step on zeros. Both run in fresh processes and take turns. The phases are those of the last trial's record.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import command, start
from bench.grid import single
from bench.perf.ratios import Ratio, report
from bench.perf.rounds import medians
from bench.plan import default_precision

LEAST = """
import sys
import keras, tensorflow as tf
import losses, models
from bench.optimizers import Adam, make_variables
spec = models.ModelSpec.model_validate_json(sys.argv[1])
batch, crop, classes = map(int, sys.argv[2:])
model, loss, optimizer = models.build(spec, classes, seed=0), losses.get("cross_entropy"), Adam()
make_variables(optimizer, model.trainable_variables)
@tf.function
def step(image, label):
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss.call(label, model(image, training=True)))
    optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_variables), model.trainable_variables))
    return value
print(float(step(tf.zeros((batch, crop, crop, 3)), tf.zeros((batch, crop, crop), tf.int32))))
"""
CLASSES = 8  # of the embedded scenes
ENVIRONMENT = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def until_first_step(options: Sequence[str], folder: Path) -> float:
    """Seconds from the start of `bench.trial` to the line of its first step; the trial then runs to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.trial", "--preset", "quick", *options, "--out", str(folder)],
        env=ENVIRONMENT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    first = None
    for line in process.stdout:
        first = first or (time.perf_counter() - began if line.startswith("epoch 1") else None)
    if process.wait() or first is None:
        raise SystemExit(f"the trial failed, see {folder}/record.json")
    return first


@command
def main(
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    rounds: Annotated[int, typer.Option(min=3)] = 3,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Compare the time to the first step; exit status 1 when a bar is missed."""
    spec = single(set_ or [], "quick", default_precision(0, []))
    least = [sys.executable, "-c", LEAST, spec.model.model_dump_json(), str(spec.train.batch_size), str(spec.data.crop)]
    options = [part for value in set_ or [] for part in ("--set", value)]
    firsts: list[float] = []
    with tempfile.TemporaryDirectory() as home:

        def ours() -> None:
            firsts.append(until_first_step(options, Path(home) / f"trial-{len(firsts)}"))

        def other() -> None:
            subprocess.run([*least, str(CLASSES)], env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)

        seconds = medians({"trial": ours, "least": other}, rounds)
        clocks = json.loads((Path(home) / f"trial-{len(firsts) - 1}" / "record.json").read_text())["clocks"]
    first = sorted(firsts[1:])[len(firsts[1:]) // 2]
    phases = {name.removesuffix("_s"): value for name, value in clocks.items() if name != "total_s"}
    phases["imports before the clock, and the end of the process"] = seconds["trial"] - sum(phases.values())
    print(f"a quick trial: {seconds['trial']:.1f} s")
    for name, value in phases.items():
        print(f"  {name:55} {value:6.1f} s {value / seconds['trial']:6.1%}")
    return report(
        [Ratio("command to first step", "s", first, "import, build and trace alone", seconds["least"], at_most=1.5)],
        out,
    )


if __name__ == "__main__":
    start(main)
