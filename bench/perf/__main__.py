"""`python -m bench.perf [NAME ...]`: run the benchmarks that have bars, one after another, and print one table.

Each runs in a separate process; nothing else should run on the machine. Benchmarks without bars (`bench.perf.atrous`,
`bisection`, `cores`, `depthwise`, `false_alarms`, `gate`, `generations`, `levels`, `losses`, `lovasz`, `precision`,
`profile`, `smp`, `step`, `work`) are run by their own names. So is `bench.perf.peers`, whose bars need the extra
`peers`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench.core import UsageError, command, nearest, start
from bench.perf.ratios import MISSED, Ratio, read, report

LONGEST = 3600
"""Time limit of one benchmark, in seconds."""
BENCHMARKS = ("startup", "training", "models", "input", "tables", "schedule", "crf")


@command
def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Some of {', '.join(BENCHMARKS)}; default: all.")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Measure and print ratios beside their bars.

    Exit status: 0 all met, 1 a bar is missed or was not measured, 2 usage.
    """
    for name in names or []:
        if name not in BENCHMARKS:
            raise UsageError(f"unknown benchmark {name!r}{nearest(name, BENCHMARKS)}")
    if out is not None:  # fail now, not after an hour, if the file cannot be written
        out.parent.mkdir(parents=True, exist_ok=True)
        out.touch()
    ratios: list[Ratio] = []
    missing = list(names or BENCHMARKS)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in list(missing):
                print(f"\n{name}", flush=True)
                file = Path(folder) / f"{name}.json"
                with contextlib.suppress(subprocess.TimeoutExpired):
                    wanted = [sys.executable, "-m", f"bench.perf.{name}", "--json", str(file)]
                    subprocess.run(wanted, check=False, timeout=LONGEST)
                found, complete = read(file)
                ratios += found
                if complete and found:
                    missing.remove(name)
    finally:  # after an interrupt, too: the ratios so far may be half an hour's work
        print()
        status = report(ratios, out, complete=not missing)
        if missing:
            print(f"\nNot measured, or not to the end: {', '.join(missing)}; see above.")
    return MISSED if missing else status


if __name__ == "__main__":
    start(main)
