"""How much the speed of this machine drifts, with the reference and without: `python -m bench.perf.drift`.

    python -m bench.perf.drift [--times 10] [--pause 600] [--set FIELD=VALUE] [--json FILE]

It runs the same cell and seed again and again, with pauses, each time as a fresh process of `python -m bench.trial`. It
prints for every time images/s, the reference, the speed relative to it and the time of a hand-over between cores, and
at the end how far the quartiles lie apart, also among the trials whose cores were placed as in most. Only where they
lie closer together with the reference does it help to judge relative speeds. It also measures what the reference and
the samples at the edges of the windows cost a trial. Times in which other work disturbed the trial are marked and
counted; they say little about the machine.

    python -m bench.perf.drift --of RUN [--of RUN]

runs nothing: it says the same of each cell of runs that are there, over as many hours as they took.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import results
from bench.core import EXIT_OK, UsageError, command, start
from bench.perf.ratios import Ratio, report
from bench.perf.rounds import in_fresh_process
from bench.plan import default_precision, single
from bench.spec import Placement
from results import hand_over

EDGES = 20
"""Edges of windows in a trial of the preset quick, with room to spare."""


@dataclass(frozen=True)
class Time:
    """One trial: images/s, GFLOP/s of its reference, images per 100 GFLOP, why its speed is not comparable, and the
    nanoseconds of a hand-over between its cores, None if not measured.
    """

    rate: float
    reference: float
    relative: float
    reason: str | None
    hand_over: float | None = None


def one_time(options: Sequence[str], folder: Path) -> Time:
    """Run the trial and return what its record says; a rate that never settled is the median of all windows.

    Raises:
        UsageError: it fails, or is too short to be timed.
    """
    wanted = [sys.executable, "-m", "bench.trial", *options, "--out", str(folder)]
    done = subprocess.run(wanted, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"the trial failed: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return of_speed(results.read(folder).throughput)


def of_speed(speed: results.Throughput | None) -> Time:
    """Return what the throughput of a record says.

    Raises:
        UsageError: it has no windows, or no reference.
    """
    rates = [rate for rate in speed.windows if rate] if speed else []
    known = [value for value in speed.reference.gflops if value] if speed and speed.reference else []
    if speed is None or not rates or not known:
        raise UsageError("the trial is too short for its speed: it needs four windows (eval.window_steps)")
    rate, reference = speed.images_per_second or statistics.median(rates), statistics.mean(known)
    return Time(rate, reference, 100 * rate / reference, speed.reason, speed.hand_over_ns)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile.

    >>> spread([1, 2, 3, 4, 5])
    (2.0, 3.0, 4.0)
    """
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def cost() -> tuple[float, float, float]:
    """Return what the measurements cost a trial on the CPU, in a process that has started TensorFlow.

    Returns:
        Wall-clock seconds and CPU seconds of two measurements of the reference, the first choice of kernels included,
        and CPU seconds of the samples at the edges of the windows.
    """
    import tensorflow as tf

    from bench.trial.machine_reference import reference
    from bench.trial.machine_watch import MachineWatch

    float(tf.reduce_sum(tf.ones((8, 8))))
    wall, own = time.perf_counter(), time.process_time()
    for _ in range(2):
        reference(Placement())
    measured = time.perf_counter() - wall, time.process_time() - own
    with MachineWatch(hand_over=True) as watch:
        own = time.process_time()
        for _ in range(EDGES):
            watch.sample()
        return *measured, time.process_time() - own


def summary(found: Sequence[Time]) -> list[str]:
    """Return the quartiles of both speeds, and how much of their spread the reference removes."""
    lines, widths = [], []
    for name, values in (
        ("images/s", [one.rate for one in found]),
        ("images per 100 GFLOP", [one.relative for one in found]),
    ):
        low, middle, high = spread(values)
        widths.append((high - low) / middle)
        lines.append(f"{name}: quartiles {low:.1f} and {high:.1f}, median {middle:.1f}; apart by {widths[-1]:.1%}")
    removed = 1 - widths[1] / widths[0] if widths[0] else 0.0
    change = f"removes {removed:.0%} of" if removed >= 0 else f"adds {-removed:.0%} to"
    return [*lines, f"The reference {change} the spread.", *_in_one_placement(found), ""]


def _in_one_placement(found: Sequence[Time]) -> list[str]:
    """Return the spread of images/s among the trials whose cores were placed as in most that measured it.

    It is empty if all of them are alike.
    """
    known = [(one.rate, one.hand_over) for one in found if one.hand_over]
    usual = hand_over.usual(time for _, time in known)
    alike = [rate for rate, time in known if not hand_over.moved(time, usual)]
    if len(alike) in (0, 1, len(known)):
        return []
    low, middle, high = spread([rate for rate, _ in known])
    width = (high - low) / middle
    low, middle, high = spread(alike)
    removed = 1 - (high - low) / middle / width if width else 0.0
    return [
        f"images/s of the {len(alike)} of {len(known)} trials with a hand-over near {usual:.0f} ns: quartiles "
        f"{low:.1f} and {high:.1f}, median {middle:.1f}; apart by {(high - low) / middle:.1%}, {removed:.0%} less"
    ]


def of_runs(folders: Sequence[Path]) -> list[str]:
    """Return the drift in trials that are there, cell by cell. Disturbed and failed ones are counted and left out.

    Args:
        folders: of runs on one machine; equal cells of several runs are taken together.

    Raises:
        UsageError: a folder holds no run, or no cell has four undisturbed trials.
    """
    cells: dict[tuple[str, str], list[results.Record]] = {}
    for folder in folders:
        for one in results.read_run(folder).trials:
            cells.setdefault((one.record.label, one.record.cell), []).append(one.record)
    lines: list[str] = []
    for (label, _), records in sorted(cells.items()):
        if len(found := list(_undisturbed(records))) >= 4:
            begun = sorted(one.started for one in records if one.started)
            hours = (begun[-1] - begun[0]).total_seconds() / 3600
            left_out = len(records) - len(found)
            lines += [f"{label}: {len(found)} trials in {hours:.1f} hours, {left_out} left out", *summary(found)]
    if not lines:
        raise UsageError("no cell of these runs has four undisturbed trials; take runs of many seeds")
    return lines


def _undisturbed(records: Iterable[results.Record]) -> Iterator[Time]:
    """Yield the speeds that count."""
    for record in records:
        with contextlib.suppress(UsageError):
            if (found := of_speed(record.throughput)).reason is None:
                yield found


def _times(options: Sequence[str], times: int, pause: float) -> list[Time]:
    """Run the trial again and again and print a row each; a later one that fails is reported and left out.

    Raises:
        UsageError: the first one fails.
    """
    print("| time | images/s | reference, GFLOP/s | images per 100 GFLOP | hand-over, ns | disturbed |")
    print("|--:|--:|--:|--:|--:|---|")
    found: list[Time] = []
    with tempfile.TemporaryDirectory() as home:
        for number in range(times):
            if number:
                time.sleep(pause)
            try:
                found.append(one := one_time(options, Path(home) / str(number)))
            except UsageError as error:
                if not found:
                    raise
                print(f"| {number + 1} | | | | | {error} |", flush=True)  # the times before it may be hours of work
                continue
            between = f"{one.hand_over:.0f}" if one.hand_over else ""
            said = f"{one.rate:.1f} | {one.reference:.1f} | {one.relative:.1f} | {between} | {one.reason or ''}"
            print(f"| {number + 1} | {said} |", flush=True)
    return found


@command
def main(
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    preset: Annotated[str, typer.Option(help="smoke, quick, study or full.")] = "smoke",
    times: Annotated[int, typer.Option(min=3, help="Trials of the same cell.")] = 10,
    pause: Annotated[float, typer.Option(min=0, help="Seconds between two of them.")] = 600.0,
    of: Annotated[list[Path] | None, typer.Option(help="Run nothing: the trials of this run; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Print the drift of this machine, and what it costs to know it; exit status 1 if that is more than a second."""
    if of:
        print("\n".join(of_runs(of)))
        return EXIT_OK
    single(set_ or [], preset, default_precision(0, []))  # a wrong option is reported before the first trial
    options = ["--preset", preset, *(part for value in set_ or [] for part in ("--set", value))]
    wall, own, edges = in_fresh_process(cost)
    found = _times(options, times, pause)
    print(f"\n{sum(one.reason is not None for one in found)} of {times} times disturbed; {pause:g} s between two.\n")
    if len(found) > 1:
        print("\n".join(summary(found)), flush=True)
    return report(
        [
            Ratio("the reference, twice in a trial", "s", wall, "its limit", 1.0, at_most=1),
            Ratio("the same and the edges of its windows, CPU time", "s", own + edges, "the reference alone", own),
        ],
        out,
    )


if __name__ == "__main__":
    start(main)
