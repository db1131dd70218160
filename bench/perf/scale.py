"""`python -m bench.perf.scale`: what limits a run first on a cluster of 1, 8, 64 and 512 GPUs, without the machines.

Measured here, in one run, at a small size, in CPU seconds: what the driver spends on a trial and on an event (no-op
trials through Ray), a batch of the input on one core, the start of a trial, the write of a checkpoint and of a record,
tables and report of two invented runs and how they grow. A discrete-event simulation (`bench.perf.cluster_model`) puts
them together. What cannot be measured here is assumed, by options: the images/s of a GPU, its cores, the size of a
model.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer

import results
from bench.core import Checkpoint, as_bytes, command, start
from bench.perf import schedule, tables
from bench.perf.chatter import EVENTS
from bench.perf.cluster_model import PARTS, Costs, Outcome, Work, saturated_at, simulate

GPUS = (1, 8, 64, 512)
REPORTS = (60, 240)
"""Trials of the two invented runs."""
FORWARD = 3.0
"""Images that a GPU scores in the time in which it trains one: there is no backward pass."""
SAMPLE_MB = 16


def of_the_driver(trials: int) -> tuple[float, float]:
    """Return the CPU seconds that the driver spends on a trial, and on an event of a trial."""
    from bench.execution import ray_cluster, runner

    def spent(entry: str) -> float:
        runner.ENTRY, runner.WARM_UP = entry, ""
        before = time.process_time()
        schedule.ours(trials)
        return (time.process_time() - before) / trials

    with ray_cluster.cluster(None):
        schedule.ours(2)  # Ray's first start counts for no trial
        quiet = spent(schedule.NOTHING)
        return quiet, max(0.0, spent("bench.perf.chatter:chatter") - quiet) / EVENTS


def of_the_input(size: int, batch: int) -> float:
    """Return the CPU seconds of a batch of crops on one core, by the policy `strong`, from images in memory."""
    from bench.data import load, pipeline
    from bench.spec import DataSpec

    spec = DataSpec(size=size, crop=size, augment="strong", train_limit=8, val_limit=1, test_limit=1, cache="memory")
    crops = pipeline.Crops(load(spec).splits["train"], spec, seed=0)
    crops[0]
    before = time.thread_time()
    for position in range(32):
        crops[position]
    return (time.thread_time() - before) / 32 * batch


def of_a_start() -> float:
    """Return the seconds until the first step of a small trial is over, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trial"
        settings = ("train.epochs=1", "train.steps_per_epoch=2", "eval.pictures=0", "eval.keep_checkpoint=none")
        options = [part for setting in settings for part in ("--set", setting)]
        subprocess.run(
            [sys.executable, "-m", "bench.trial", "--preset", "smoke", *options, "--out", str(out)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return results.read(out).clocks.start_s or math.nan


def of_the_storage(folder: Path, megabytes: float) -> tuple[float, float]:
    """Return the seconds in which a checkpoint of this size and a record are written and are safe on this disk."""
    arrays = {"model": [np.zeros(SAMPLE_MB * 2**18, np.float32)]}
    record = tables.invented("0" * 12, "cell", 0, 0.5, np.random.default_rng(0))

    def seconds(write: Callable[[], object]) -> float:
        before = time.perf_counter()
        for _ in range(3):
            write()
        return (time.perf_counter() - before) / 3

    checkpoint = seconds(lambda: results.write_bytes(folder / "resume.npz", as_bytes(Checkpoint({}, arrays))))
    return checkpoint * megabytes / SAMPLE_MB, seconds(lambda: results.write(folder, record))


def of_reports() -> tuple[float, float]:
    """Return a and k of the seconds a * trials^k that tables and report take."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (tables.measured("report", tables.made(Path(folder) / str(n), n))[0] for n in REPORTS)
    power = max(0.0, math.log(many / few) / math.log(REPORTS[1] / REPORTS[0]))
    return few / REPORTS[0] ** power, power


def line(found: Outcome) -> str:
    """Return a row of the table."""
    shares = [f"{found.share(part):.1%}" for part in PARTS]
    busy = [f"{found.busy[queue] / found.seconds:.0%}" for queue in ("driver", "storage")]
    limit = f"{found.limit} ({found.share(found.limit):.1%})"
    cells = [str(found.gpus), str(found.trials), f"{found.seconds / 3600:.1f}", *shares, *busy, limit]
    return f"| {' | '.join(cells)} |"


@command
def main(
    images_per_second: Annotated[float, typer.Option(min=1, help="Assumed: training on one GPU.")] = 250.0,
    cores: Annotated[float, typer.Option(min=0.1, help="Assumed: CPU cores per GPU.")] = 12.0,
    size: Annotated[int, typer.Option(min=64, help="Side of the crops, pixels.")] = 512,
    megabytes: Annotated[float, typer.Option(min=1, help="Assumed: size of a checkpoint.")] = 80.0,
    trials: Annotated[int, typer.Option(min=4, help="No-op trials that are measured.")] = 24,
    trials_per_gpu: Annotated[int, typer.Option(min=1)] = 8,
    epochs: Annotated[int, typer.Option(min=1)] = 60,
    steps: Annotated[int, typer.Option(min=1, help="Steps per epoch, of 16 images.")] = 250,
    scored: Annotated[int, typer.Option(min=1, help="Images of an evaluation.")] = 500,
) -> int:
    """Measure the costs of a run's parts, and print what limits clusters of 1, 8, 64 and 512 GPUs."""
    batch, window = 16, 20
    per_trial, per_event = of_the_driver(trials)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, record = of_the_storage(Path(folder), megabytes)
    report, power = of_reports()
    costs = Costs(
        schedule=per_trial, event=per_event, start=of_a_start(), step=batch / images_per_second,
        batch=of_the_input(size, batch), scoring=scored / (FORWARD * images_per_second), checkpoint=checkpoint,
        record=record, report=report, report_power=power,
    )  # fmt: skip
    work = Work(trials_per_gpu, epochs, steps, 1 + -(-steps // window))
    print(f"Measured here, seconds: {', '.join(f'{name} {value:.3g}' for name, value in vars(costs).items())}")
    print(f"Assumed: {images_per_second:g} images/s and {cores:g} cores per GPU, checkpoints of {megabytes:g} MB.\n")
    print("| GPUs | trials | hours |", " | ".join(PARTS), "| driver busy | storage busy | limits first |")
    print("|--:" * (5 + len(PARTS)) + "|---|")
    for gpus in GPUS:
        print(line(simulate(gpus, cores, work, costs)), flush=True)
    print(f"\nThe driver would have no pause from {saturated_at(work, costs):.0f} GPUs on.")
    print(f"A GPU would wait for its input with fewer than {costs.batch / costs.step:.1f} cores.")
    print(f"The driver's memory: {psutil.Process().memory_info().rss / 2**20:.0f} MiB after the no-op trials.")
    return 0


if __name__ == "__main__":
    start(main)
