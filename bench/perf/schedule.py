"""`python -m bench.perf.schedule`: the cost of scheduling, against Ray's own overhead and a plain loop of processes.

A no-op trial has everything but the training: its folder, Ray, a separate supervised process, a record written by the
driver. The floor is the same number of Tune trials that do nothing, in the same cluster. It is measured twice: as Tune
runs trials by default, each in a new actor, and with actors that are reused, as ours are. Reuse saves Ray most of its
work, but our trials still need one process each. With more than 200 trials, the time per trial is compared with that
among few, so that `--trials 24 --trials 1000` shows how time and the driver's memory grow. `--whole` trains the whole
quick losses grid, about half an hour on 2 cores.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated

import psutil
import typer

from bench.core import UsageError, cli, command, start
from bench.execution import FailurePolicy, RunFolder, TrialRunner, ray_cluster, ray_tune, runner
from bench.perf.ratios import Ratio, keep, report
from bench.perf.rounds import quartiles, times
from bench.plan import placement

BAR = 1.15
FLOOR_UP_TO = 200
FLOORS = {"an empty Tune trial": False, "the same, actors used again": True}
NOTHING = "operator:is_"  # a function of two arguments that does nothing and imports nothing of this project
GRID = ("--grid", "losses", "--preset", "quick", "--gpus-per-trial", "0")
TRIALS, SHORT = 21, ("--seeds", "1", "--only", "loss=cross_entropy,dice,focal")
LOOP = """
import json, sys
from pathlib import Path
from bench.core import prepare_process
from bench.spec import parse
spec = parse(json.load(sys.stdin), "loop")
prepare_process(spec.placement.cpus)
from bench.trial import run
sys.exit(run(spec, Path(sys.argv[1])).status != "ok")
"""


def ours(trials: int) -> None:
    """Run no-op trials, one CPU each."""
    request = placement.GridRequest(
        grid="smoke", seeds=math.ceil(trials / 2), settings=("model.weights=none",), gpus_per_trial=0
    )
    local = placement.Local(cpus=psutil.cpu_count() or 1, gpus=0, accelerator=None)
    made = placement.make(request, [local], max_concurrent=local.cpus)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder), "r", {"grid": "smoke"}, made, {})
        TrialRunner(run, made, FailurePolicy(), cli.console(file=StringIO())).run(made.trials[:trials])
        left = len(list(run.path.glob("trials/*/record.json")))
    assert left == trials, f"{left} records of {trials} trials"


def no_ops(counts: Sequence[int], out: Path | None = None) -> list[Ratio]:
    """Return the seconds per no-op trial, ours to the floor, for each number of trials; print how memory grows.

    For more than `FLOOR_UP_TO` trials the comparison is with ours at the fewest trials that were measured.
    """
    runner.ENTRY, runner.WARM_UP = NOTHING, ""
    found: list[Ratio] = []
    driver = psutil.Process()
    with ray_cluster.cluster(None):
        ray_tune.empty_trials(2)  # Ray's first start counts for no side
        ours(2)
        for count in sorted(counts):
            few = count <= FLOOR_UP_TO or not found
            sides = (
                {name: partial(ray_tune.empty_trials, count, reuse) for name, reuse in FLOORS.items()} if few else {}
            )
            sides["ours"] = partial(ours, count)
            seconds = times(sides, rounds=3 if few else 1, warm_up=0)
            mib = driver.memory_info().rss / 2**20
            print(f"{count} trials: driver at {mib:.0f} MiB", flush=True)
            each = {side: statistics.median(values) / count for side, values in seconds.items()}
            name = f"no-op trial, of {count}"
            found += [
                Ratio(
                    name, "s", each["ours"], floor, each[floor], at_most=None if reuse else BAR,
                    spread=quartiles(seconds["ours"], seconds[floor]),
                )
                for floor, reuse in FLOORS.items() if few
            ] or [Ratio(name, "s", each["ours"], found[0].what, found[0].ours, at_most=BAR)]  # fmt: skip
            keep(found, out)
    return found


def grid(whole: bool) -> list[Ratio]:
    """Return the seconds of the losses grid by `bench.run`, with its report, to a loop that trains in fresh processes.

    Without `whole` the grid is estimated from some of its trials: the time per run and the time per trial. The loop is
    measured between two runs, because the machine's speed drifts.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Fills the caches of TensorFlow's files and of decoded images, which both sides read.
        warm_up = [*GRID, "--seeds", "1", "--only", "loss=cross_entropy", "--out", folder, "--name", "w"]
        _seconds([sys.executable, "-m", "bench.run", *warm_up])
        first = _run(folder, "first", whole)
        made = RunFolder(Path(folder) / "first").grid()
        trials = [cell.trial(seed) for seed in range(made.seeds) for cell in made.cells]
        alone = sum(
            _seconds([sys.executable, "-c", LOOP, f"{folder}/loop/{name}"], spec.model_dump_json())
            for name, spec in trials
        ) / len(trials)
        second = _run(folder, "second", whole)
    once, each = ((a + b) / 2 for a, b in zip(first, second, strict=True))
    print(f"once for a run {once:.0f} s, then {each:.1f} s a trial; in the loop {alone:.1f} s a trial")
    what = "the quick losses grid" if whole else f"the quick losses grid, estimated from {len(trials)} trials"
    return [Ratio(what, "s", once + TRIALS * each, "a loop of processes", TRIALS * alone, at_most=1.10)]


def _run(folder: str, name: str, whole: bool) -> tuple[float, float]:
    """Return the seconds of a run of the grid that are spent once, and those per trial."""
    arguments = [*GRID, *(() if whole else SHORT), "--out", folder, "--name", name]
    spent = _seconds([sys.executable, "-m", "bench.run", *arguments])
    records = RunFolder(Path(folder) / name).complete()
    starts = sorted(record.started for record in records if record.started)
    if len(starts) < (TRIALS if whole else len(SHORT[-1].split(","))):
        raise UsageError(f"a trial of {' '.join(arguments)} failed")
    each = (starts[-1] - starts[0]).total_seconds() / (len(starts) - 1)  # with the gap between trials
    return spent - len(starts) * each, each


def _seconds(arguments: list[str], stdin: str = "") -> float:
    """Return the seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(
        arguments, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    )
    return time.perf_counter() - began


@command
def main(
    trials: Annotated[list[int] | None, typer.Option(min=2, help="Numbers of no-op trials; default: 8 and 24.")] = None,
    skip_grid: Annotated[bool, typer.Option("--skip-grid", help="The no-op trials alone.")] = False,
    skip_no_ops: Annotated[bool, typer.Option("--skip-no-ops", help="The grid alone.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Train the whole quick losses grid.")] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Measure what scheduling costs.

    Exit status: 0 all bars met, 1 a bar is missed, 2 usage.
    """
    found = [] if skip_no_ops else no_ops(trials or [8, 24], out)
    return report([*found, *([] if skip_grid else grid(whole))], out)


if __name__ == "__main__":
    start(main)
