"""Where a trial's time goes: `python -m bench.perf.profile [--preset quick] [--set FIELD=VALUE]`.

One trial in this process, phase by phase, from the start of the process to the last file that it writes.
A steady step stands beside the whole.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import importlib
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer

from bench.cli import command, start
from bench.environment import prepare_process
from bench.grid import single
from bench.plan import default_precision
from bench.spec import TrialSpec
from bench.timing import Clocks

PARTS = {
    "_load_data": "data: listed, checked, ready to be read",
    "_build": "model, weights, loss, optimiser",
    "_resident_rate": "the step again on resident data, for the input's share",
    "_keep_checkpoint": "weights written",
    "_draw": "pictures",
}
"""Methods of a trial's body, and what they are called in the table; each becomes a phase of its clocks."""
BOOKED = {
    "init": "the rest of what comes before the first step",
    "compile": "evaluation and training traced, with their first batches",
    "train": "steady steps",
    "eval": "evaluation",
    "io": "state of every epoch, and what else is written",
}
"""Phases of any trial."""


def profile(spec: TrialSpec) -> tuple[dict[str, float], dict[str, float]]:
    """Run a trial.

    Returns:
        Seconds of its phases; of a steady step {"step": ms, "input": %}, empty if there was no steady state.
    """
    clocks, seconds = Clocks(), {}
    seconds["interpreter and the command's own imports"] = time.time() - psutil.Process().create_time()
    for name in ("TensorFlow", "Keras", "KerasCV"):
        with clocks.phase(name):
            importlib.import_module({"KerasCV": "keras_cv"}.get(name, name.lower()))
        seconds[f"import of {name}"] = clocks.elapsed(name)
    with clocks.phase("suite"):
        import losses.registry  # noqa: F401
        import models.builder  # noqa: F401
        from bench import evaluation, objective, optimizers, training  # noqa: F401
        from bench.data import pipeline  # noqa: F401
        from bench.trial import Body
    seconds["import of the suite"] = clocks.elapsed("suite")
    with tempfile.TemporaryDirectory() as folder:
        body = Body(spec, Path(folder), False, lambda event: None)
        body.clocks = clocks
        for method, phase in PARTS.items():
            setattr(body, method, clocks.phase(phase)(getattr(body, method)))
        kept = body.run()
    seconds |= {label: clocks.elapsed(label) for label in PARTS.values()}
    seconds |= {label: clocks.elapsed(name) for name, label in BOOKED.items()}
    speed = kept["throughput"]
    rate = speed["images_per_second"]
    step = {"step": 1e3 * spec.train.batch_size / rate, "input": 100 * (speed["input_share"] or 0)} if rate else {}
    return seconds, step


@command
def main(
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    preset: Annotated[str, typer.Option(help="smoke, quick, study or full.")] = "quick",
) -> int:
    """Print where the time of one trial goes."""
    prepare_process()
    spec = single(set_ or [], preset, default_precision(0, []))
    seconds, step = profile(spec)
    whole = sum(seconds.values())
    print("| phase | s | share |\n|---|--:|--:|")
    for name, spent in seconds.items():
        print(f"| {name} | {spent:.1f} | {spent / whole:.0%} |")
    if step:
        print(f"\nA steady step: {step['step']:.0f} ms, of which the input {step['input']:.1f} %.")
    return 0


if __name__ == "__main__":
    start(main)
