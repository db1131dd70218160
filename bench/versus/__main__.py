"""`python -m bench.versus BASE HEAD --grid smoke`: two revisions side by side, their trials in turns."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.compare import STATUS, Format, bless, show
from bench.core import UsageError, check_rooms, cli, command, signals, start
from bench.plan import GridRequest, options
from bench.versus import Request, order_in_words, run

if TYPE_CHECKING:
    from results import Comparison


@command
def main(
    base: Annotated[str, typer.Argument(help="A revision as git reads it, or the folder of a checkout.")],
    head: Annotated[str, typer.Argument(help="What is judged; `.` is the working tree with uncommitted changes.")],
    grid: options.Grid = None,
    dataset: options.DatasetName = None,
    data_root: options.DataRoot = None,
    seeds: options.Seeds = None,
    set_: options.Set = None,
    only: options.Only = None,
    preset: options.Preset = None,
    gpus_per_trial: options.GpusPerTrial = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the comparison; one that holds it already is finished.")
    ] = None,
    base_python: Annotated[Path | None, typer.Option(help="Interpreter, or environment, that runs BASE.")] = None,
    head_python: Annotated[Path | None, typer.Option(help="Interpreter, or environment, that runs HEAD.")] = None,
    repository: Annotated[
        Path, typer.Option(help="A checkout of the project, for BASE and HEAD; default: here.")
    ] = Path(),
    until: Annotated[
        str | None, typer.Option(help="decided, or 'release within 1 point': run seeds until mIoU and speed are.")
    ] = None,
    max_seeds: Annotated[int | None, typer.Option(min=2, help="With --until: seeds at most; default: 10.")] = None,
    trial_timeout: options.TrialTimeout = None,
    format: Annotated[Format, typer.Option(help="Output format; github also annotates the job.")] = Format.table,
    margins: Annotated[
        Path | None, typer.Option(help="YAML with other margins than results/comparison/margins.yaml.")
    ] = None,
    require_conclusive: Annotated[
        bool, typer.Option("--require-conclusive", help="Exit 3 if a cell is inconclusive.")
    ] = False,
) -> int:
    """Run a grid with two revisions of this project, in turns on the same devices, and judge HEAD against BASE.

    Exit status: 0 no regression, 1 a cell regressed, newly fails or is missing, 2 usage, 3 inconclusive (only with
    --require-conclusive), 4 incomplete or nothing measured, 130 interrupted.
    """
    from dataclasses import replace

    signals.install()
    check_rooms()
    what = GridRequest(
        grid=grid, dataset=dataset, data_root=data_root, seeds=seeds, only=tuple(only or ()), preset=preset,
        gpus_per_trial=gpus_per_trial, settings=tuple(set_ or ()),
    )  # fmt: skip
    request = Request(
        sides={"base": base, "head": head}, what=what, pythons={"base": base_python, "head": head_python}, out=out,
        repository=repository, margins=_read(margins), trial_timeout=trial_timeout,
        until=until, max_seeds=max_seeds,
        command=shlex.join(["python", "-m", "bench.versus", *sys.argv[1:]]),
    )  # fmt: skip
    plain = cli.console(stderr=format is not Format.table)
    comparison = replace(run(request, plain), require_conclusive=require_conclusive)
    folder = Path(comparison.head.folder).parent
    bless(comparison, folder)
    plain.print(f"Page: {_write(comparison, folder)}", soft_wrap=True)
    show(comparison, format)
    return STATUS[comparison.outcome]


def _read(margins: Path | None) -> Path | None:
    """Return a margins file that has no fault, so that one with a fault is not found after hours.

    Raises:
        UsageError: names the fault.
    """
    from results import margins as rules

    try:
        rules.read(str(margins or rules.DEFAULT))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return margins


def _write(comparison: Comparison, folder: Path) -> Path:
    """Write the page of the comparison as comparison.html and comparison.md, and return the first."""
    import results
    from reports import Paragraph, html, markdown
    from reports import comparison as page

    runs = [results.read_run(side.folder) for side in (comparison.base, comparison.head)]
    turns = Paragraph(order_in_words(*([stored.record for stored in one.trials] for one in runs)))
    text, full = (page.document(comparison, figures=figures) for figures in (False, True))
    for document in (text, full):
        document.blocks.insert(0, turns)
    results.write_bytes(folder / "comparison.md", markdown.render(text).encode())
    return results.write_bytes(folder / "comparison.html", html.render(full).encode())


if __name__ == "__main__":
    start(main)
