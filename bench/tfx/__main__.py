"""`python -m bench.tfx SHARDS --root ROOT --grid losses`: a TFX pipeline that trains a grid, judges it and pushes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.core import EXIT_OK, EXIT_REGRESSION, UsageError, command, start
from bench.tfx.installed import check_installed


@command
def main(
    shards: Annotated[Path, typer.Argument(help="Folder that `bench.data prepare` wrote.")],
    root: Annotated[Path, typer.Option(help="Folder of the pipeline: artifacts, metadata, runs.")],
    grid: Annotated[str, typer.Option(help="Name of a grid, or a grid file.")] = "losses",
    push_to: Annotated[
        Path | None, typer.Option(help="Folder that a model server watches; default: ROOT/serving.")
    ] = None,
    options: Annotated[str, typer.Option(help="Options of bench.run, e.g. '--preset quick --seeds 3'.")] = "",
    base: Annotated[
        str, typer.Option(help="A run's folder or a release to judge against; default: the last blessed run.")
    ] = "",
    gate_options: Annotated[str, typer.Option(help="Options of bench.compare, e.g. '--require-conclusive'.")] = "",
    bless_first: Annotated[bool, typer.Option("--bless-first", help="Bless a run that has no base.")] = False,
    floor: Annotated[float, typer.Option(min=0, max=1, help="mIoU that Evaluator demands, 0..1.")] = 0.0,
    drop: Annotated[
        float | None, typer.Option(min=0, max=1, help="Loss of mIoU that Evaluator accepts; default: any.")
    ] = None,
    slices: Annotated[
        list[str] | None, typer.Option("--slice", help="A feature: metrics for each of its values; repeatable.")
    ] = None,
    address: Annotated[str, typer.Option(help="An existing Ray cluster; default: start one here.")] = "",
    python: Annotated[str, typer.Option(help="Interpreter of the project's environment; default: this one.")] = "",
) -> int:
    """Run a pipeline of TensorFlow Extended: examples, statistics, a grid of trials, evaluation, gate, push.

    The gate compares the run with its base as `bench.compare` does. What it does not bless is not pushed. Called again,
    the pipeline goes on where it was.

    Exit status: 0 pushed, 1 not blessed, 2 usage, a package that is missing, or trials that failed.
    """
    check_installed("tfx")
    from bench.tfx.pipeline import PipelineRequest, run_pipeline

    found = run_pipeline(
        PipelineRequest(
            shards=shards,
            root=root,
            push_to=push_to or root / "serving",
            grid=grid,
            options=options,
            base=base,
            gate_options=gate_options,
            bless_first=bless_first,
            floor=floor,
            drop=drop,
            slices=tuple(slices or ()),
            address=address,
            python=python,
        )
    )
    print("time: " + ", ".join(f"{one.name} {_time(one.seconds)}" for one in found.nodes))
    print(f"run: {found.run}")
    print(f"gate: {found.verdict}; " + "; ".join(found.reasons.splitlines()))
    if not found.blessed:
        print("not blessed, not pushed")
        return EXIT_REGRESSION
    if found.version is None:
        raise UsageError(f"blessed, but Pusher pushed nothing to {push_to or root / 'serving'}; see its log above")
    print(f"blessed, pushed: {found.version}")
    return EXIT_OK


def _time(seconds: float | None) -> str:
    return "from the cache" if seconds is None else f"{seconds:.1f} s"


if __name__ == "__main__":
    start(main)
