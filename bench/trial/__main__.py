"""`python -m bench.trial --set loss.name=dice`: run one trial in the foreground, without Ray."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.core import (
    CHECKPOINT_FILE,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    UsageError,
    check_rooms,
    command,
    prepare_process,
    signals,
    start,
)
from bench.execution import writable
from bench.plan import check_own_code, check_weights, data_fields, default_precision, options, single
from bench.spec import check_architecture, check_available
from bench.storage import absolute
from bench.trial.trial import LOST, run


def _show(event: dict[str, Any]) -> None:
    """Print a progress event in one line."""
    if event["event"] == "alive":
        return
    said = {name: value for name, value in event.items() if name not in ("event", "iou")}
    parts = [f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in said.items()]
    print("  ".join(parts), flush=True)


def _way_on(folder: Path) -> str:
    """Return how a trial goes on that lost another of its hosts."""
    kept = " and goes on after its last complete epoch" if (folder / CHECKPOINT_FILE).exists() else ""
    if not (folder / "record.json").exists():  # the first host alone writes it, if it is not the one that is gone
        return f"the same command on every host begins again{kept}"
    return f"{folder / 'record.json'} says so; without it, the same command on every host begins again{kept}"


@command
def main(
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, any field of the spec; repeatable.")
    ] = None,
    dataset: options.DatasetName = None,
    data_root: options.DataRoot = None,
    preset: Annotated[str, typer.Option(help="smoke, quick, study or full.")] = "smoke",
    debug: Annotated[bool, typer.Option("--debug", help="Run uncompiled steps that check every label.")] = False,
    range_test: Annotated[
        bool,
        typer.Option("--range-test", help="Raise the learning rate at every step, and say which one suits; no trial."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The trial's folder; default: runs/trial-TIME.")] = None,
) -> int:
    """Run one trial in the foreground, without Ray, for debugging.

    Exit status: 0 complete, 2 usage, 4 the trial failed (its record says why), 130 interrupted.
    """

    signals.install()
    check_rooms()
    prepare_process()
    eager = ["train.eager=true"] * debug
    data = data_fields(dataset, data_root and absolute(data_root))
    spec = single([*(set_ or []), *eager], preset, default_precision(0, []), data)
    folder = out or Path("runs") / f"trial-{datetime.now():%Y%m%d-%H%M%S}"
    check_architecture(spec.model)
    check_available(spec.train)
    if (folder / "record.json").exists():
        # `bench.revisions` looks for these words: to get here is to have taken the settings.
        raise UsageError(f"--out {folder}: holds a trial already")
    check_own_code([spec])
    check_weights(spec, "--set")
    writable(folder.parent)
    if range_test:
        if spec.placement.hosts > 1:
            raise UsageError("--range-test: it has one host; leave placement.hosts out")
        from bench.trial import rate_range  # imports TensorFlow

        print(f"{spec.loss.name}: {rate_range.range_test(spec, folder)}, curve {folder / rate_range.CURVE}")
        return EXIT_OK
    record = run(spec, folder, trial=folder.name, label=spec.loss.name, emit=_show)
    signals.recorded()
    if record.status != "ok":
        assert record.error is not None
        if record.status == "invalid":
            raise UsageError(record.error.message)
        if record.error.kind == LOST:
            print(f"error: {record.error.message}; {_way_on(folder)}", file=sys.stderr)
            return EXIT_INCOMPLETE
        print(record.error.traceback or "", file=sys.stderr)
        return EXIT_INTERRUPTED if record.status == "interrupted" else EXIT_INCOMPLETE
    val = record.views[0]
    print(f"{record.status}: mIoU {val.miou:.4f}, record {folder / 'record.json'}")
    return EXIT_OK


if __name__ == "__main__":
    start(main)
