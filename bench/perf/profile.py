"""Where a trial's time goes: `python -m bench.perf.profile [--preset quick] [--set FIELD=VALUE]`.

One trial in this process, phase by phase, from the start of the process until the record is written, and what is in
none of them. A steady step stands beside the whole; `bench.perf.step` takes one apart.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from bench.core import UsageError, command, start
from bench.plan import default_precision, single
from bench.spec import TrialSpec
from bench.trial import Clocks

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
        import losses.core.registry  # noqa: F401
        import models.builder  # noqa: F401
        from bench.data import pipeline  # noqa: F401
        from bench.trial import evaluator, objective, optimizers, training, trial  # noqa: F401
    seconds["import of the suite"] = clocks.elapsed("suite")

    class Timed(trial.Body):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.clocks = clocks
            for method, phase in PARTS.items():
                setattr(self, method, clocks.phase(phase)(getattr(self, method)))

    trial.Body = Timed  # type: ignore[assignment, misc]
    with tempfile.TemporaryDirectory() as folder:
        record = trial.run(spec, Path(folder))
    whole = time.time() - psutil.Process().create_time()
    if record.error:
        raise UsageError(f"the trial failed: {record.error.message}")
    seconds |= {label: clocks.elapsed(label) for label in PARTS.values()}
    seconds |= {label: clocks.elapsed(name) for name, label in BOOKED.items()}
    seconds["in none of these"] = whole - sum(seconds.values())
    speed = record.throughput
    rate = speed.images_per_second if speed else None
    if speed is None or rate is None:
        return seconds, {}
    return seconds, {"step": 1e3 * spec.train.batch_size / rate, "input": 100 * (speed.input_share or 0)}


@command
def main(
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    preset: Annotated[str, typer.Option(help="smoke, quick, study or full.")] = "quick",
) -> int:
    """Print where the time of one trial goes."""
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
