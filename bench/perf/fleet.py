"""`python -m bench.perf.fleet --storage DIR`: thousands of no-op trials on a cluster, beside Ray's own floor.

The floor is the same number of Tune trials that do nothing, with the same devices, on the same nodes, as many at a
time, right before and after. Their actors are reused, as ours are. A few more are run as Tune does by default, each in
a new actor: that is the floor with the bar. Besides, the memory of the command is read, the files that a trial leaves
are counted, and so are the calls by which the command opens, lists, renames and removes files: an object store has a
price for each.

`python -m tests.cluster.fleet` makes three hosts with 64 pretended GPUs each on one machine, and runs it there.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from bench.core import UsageError, cli, command, start
from bench.execution import FailurePolicy, RunFolder, TrialRunner, ray_cluster, ray_tune, runner
from bench.perf.ratios import Ratio, report
from bench.perf.schedule import BAR, NOTHING
from bench.plan import placement

CALLS = {"open": "open", "os.listdir": "list", "os.scandir": "list", "os.rename": "rename", "os.remove": "remove",
         "os.mkdir": "make folder", "os.rmdir": "remove folder"}  # fmt: skip
"""What Python tells an audit hook, and what is counted. It does not tell when a file's state is asked for."""


class Calls:
    """Counts the calls of this process that name a path in a folder, by kind, for good: a hook cannot be removed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.found = str(folder), Counter[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in CALLS and arguments and str(arguments[0]).startswith(self._folder):
            self.found[CALLS[event]] += 1


def plan_of(trials: int, nodes: Sequence[ray_cluster.Node], at_a_time: int | None) -> placement.Plan:
    """Return the plan of so many trials with a GPU each, or with a node each if there is no GPU."""
    request = placement.GridRequest(grid="smoke", seeds=math.ceil(trials / 2), settings=("model.weights=none",))
    return placement.make(request, nodes, at_a_time)


def ours(plan: placement.Plan, trials: int, storage: Path, name: str) -> RunFolder:
    """Run no-op trials, and return their folder."""
    run = RunFolder.create(storage, name, {"grid": "smoke"}, plan, {})
    TrialRunner(run, plan, FailurePolicy(), cli.console(file=StringIO())).run(plan.trials[:trials])
    left = len(list(run.path.glob("trials/*/record.json")))
    if left != trials:
        raise UsageError(f"{run.path}: {left} records of {trials} trials")
    return run


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def files(run: RunFolder) -> dict[str, float]:
    """Return how many files of each name a trial leaves, on average."""
    trials = [*run.path.glob("trials/*")]
    found = Counter(path.name for trial in trials for path in trial.rglob("*") if path.is_file())
    return {name: count / len(trials) for name, count in sorted(found.items())}


def listed(counts: Mapping[str, float]) -> str:
    """Return numbers by name, in words."""
    return ", ".join(f"{name} {count:.1f}" for name, count in counts.items())


@command
def main(
    storage: Annotated[Path, typer.Option(help="Folder that all nodes see; the runs in it are removed by hand.")],
    address: Annotated[str, typer.Option(help="Of the cluster.")] = "auto",
    trials: Annotated[int, typer.Option(min=8, help="No-op trials.")] = 200,
    at_a_time: Annotated[int, typer.Option(min=1, help="Each needs a process of Ray and one of its own.")] = 16,
    fresh: Annotated[int, typer.Option(min=1, help="Tune trials with a new actor each.")] = 24,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Measure what thousands of trials cost the command of a run.

    Exit status: 0 the bar is met, 1 it is missed, 2 usage.
    """
    runner.ENTRY, runner.WARM_UP = NOTHING, ""
    storage = storage.resolve()
    driver, few = psutil.Process(), trials // 4
    memory = [("before", driver.memory_info().rss)]
    with ray_cluster.cluster(address) as nodes:
        plan = plan_of(trials, nodes, at_a_time)
        needs = plan.needs[0]

        def floor(number: int, reuse: bool) -> float:
            empty = partial(
                ray_tune.empty_trials, number, reuse, cpus=needs.cpus, gpus=needs.gpus, at_a_time=at_a_time,
                shared=storage / "floor",
            )  # fmt: skip
            return seconds(empty) / number

        print(f"{len(nodes)} nodes, {sum(node.gpus for node in nodes)} GPUs; a trial has {needs}", flush=True)
        floor(at_a_time, reuse=True)  # the first start of Ray's processes counts for no side
        before = floor(trials, reuse=True)
        ours(plan, few, storage, "few")
        memory.append((f"after {few} trials", driver.memory_info().rss))
        calls = Calls(storage)
        took = seconds(lambda: ours(plan, trials, storage, "many")) / trials
        memory.append((f"after {trials} more", driver.memory_info().rss))
        counted = {name: count / trials for name, count in sorted(calls.found.items())}
        after = floor(trials, reuse=True)
        default = floor(fresh, reuse=False)
    print(f"The command: {', '.join(f'{rss / 2**20:.0f} MiB {when}' for when, rss in memory)}")
    print(f"Files of a trial: {listed(files(RunFolder(storage / 'many')))}")
    print(f"Calls of the command for a trial: {listed(counted)}")
    what = f"no-op trial, of {trials}, {at_a_time} at a time"
    return report(
        [
            Ratio(what, "s", took, f"an empty Tune trial, of {fresh}", default, at_most=BAR),
            Ratio(what, "s", took, "the same, actors used again, before", before),
            Ratio(what, "s", took, "the same, actors used again, after", after),
        ],
        out,
    )


if __name__ == "__main__":
    start(main)
