"""`python -m bench.run --grid losses`: run a grid of trials, then write its tables and its report."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import storage, watching
from bench.core import (
    EXIT_INCOMPLETE,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_REGRESSION,
    EXIT_USAGE,
    UsageError,
    check_rooms,
    cli,
    command,
    signals,
    start,
)
from bench.execution import FailurePolicy, RunRequest, UntilRequest, session
from bench.plan import GridRequest, options

if TYPE_CHECKING:
    import reports

console = cli.console()
EXIT = {
    session.Outcome.COMPLETE: EXIT_OK,
    session.Outcome.INCOMPLETE: EXIT_INCOMPLETE,
    session.Outcome.INTERRUPTED: EXIT_INTERRUPTED,
    session.Outcome.UNDECIDED: EXIT_INCONCLUSIVE,
    session.Outcome.REGRESSED: EXIT_REGRESSION,
    session.Outcome.FITS: EXIT_OK,
    session.Outcome.DOES_NOT_FIT: EXIT_USAGE,
}


class Track(StrEnum):
    """A service that tracks a run."""

    mlflow = "mlflow"
    wandb = "wandb"


class Changed(StrEnum):
    """What to do on resume with complete trials of other code, versions or data."""

    ask = "ask"
    keep = "keep"
    redo = "redo"


@command
def main(
    grid: options.Grid = None,
    dataset: options.DatasetName = None,
    data_root: options.DataRoot = None,
    seeds: options.Seeds = None,
    until: Annotated[
        str | None,
        typer.Option(help="decided, best, release or groups, e.g. 'best within 1 point': run seeds until it is."),
    ] = None,
    max_seeds: Annotated[int | None, typer.Option(min=2, help="With --until: seeds at most; default: 10.")] = None,
    budget: Annotated[str | None, typer.Option(help="With --until: trials (80) or device-hours (4h) at most.")] = None,
    against: Annotated[
        str | None, typer.Option(help="With --until: the release of which no cell may have become worse.")
    ] = None,
    set_: options.Set = None,
    until_metric: Annotated[
        str | None, typer.Option(help="METRIC=VALUE, such as miou=0.6, on the validation split, ends a training.")
    ] = None,
    only: options.Only = None,
    preset: options.Preset = None,
    gpus_per_trial: options.GpusPerTrial = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; default: one per GPU, or one per machine.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="An existing Ray cluster; default: start one here.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "--storage",
            help="Folder of all runs, on a cluster a path that all nodes share or s3://BUCKET/FOLDER; default: runs.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; default: grid, data set and time.")] = None,
    data_cache_limit: Annotated[
        float | None, typer.Option(min=0, help="GB that copies of data sets in object stores may take on a machine.")
    ] = None,
    trial_timeout: options.TrialTimeout = None,
    stall_timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds without a step after which a trial is ended; default: 1800.")
    ] = None,
    retries: Annotated[
        int | None, typer.Option(min=0, help="Further attempts after a lost node or a timeout; default: 0.")
    ] = None,
    on_oom: Annotated[
        str | None, typer.Option(help="Out of memory: record, or shrink (retry with half the batch); default: record.")
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Equal seeds give identical bits on one machine; slower.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Run uncompiled steps that check every label; slow.")] = False,
    track: Annotated[
        list[Track] | None, typer.Option(help="Track the run with this service as well; repeatable.")
    ] = None,
    notify: Annotated[
        str | None, typer.Option(metavar="URL", help="Post one line of JSON to this URL when the run has ended.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show cells and placement; train nothing.")] = False,
    resume: Annotated[
        Path | None,
        typer.Option(help="Folder of a run to complete; --grid and --seeds extend it, --data-root follows moved data."),
    ] = None,
    changed: Annotated[
        Changed, typer.Option(help="With --resume, for complete trials of other code or data: ask, keep or redo them.")
    ] = Changed.ask,
) -> int:
    """Run a grid of trials on all GPUs, and write tables and a report.

    Exit status: 0 complete, 2 usage, 4 incomplete or nothing measured, 130 interrupted; with --until also 1 a cell has
    regressed, 3 not decided.
    """
    signals.install()
    check_rooms()
    if data_cache_limit is not None:
        os.environ[storage.LIMIT_VARIABLE] = f"{data_cache_limit:g}"  # for the processes of this run, on every machine
    eager, repeatable = ["train.eager=true"] * debug, ["train.deterministic=true"] * deterministic
    what = GridRequest(
        grid=grid, dataset=dataset, data_root=data_root, seeds=seeds, only=tuple(only or ()), preset=preset,
        gpus_per_trial=gpus_per_trial, settings=(*(set_ or ()), *_until(until_metric), *eager, *repeatable),
    )  # fmt: skip
    policy = FailurePolicy.of(
        {"trial_timeout": trial_timeout, "stall_timeout": stall_timeout, "retries": retries, "on_oom": on_oom}
    )
    request = RunRequest(
        what=what, address=address, max_concurrent=max_concurrent,
        out=out and storage.place(out), name=name, policy=policy,
        track=tuple(track or ()), changed=changed.value, until=UntilRequest(until, max_seeds, budget, against),
        dry_run=dry_run,
        command=cli.typed("bench.run", without=("--notify",)),
    )  # fmt: skip
    ended = watching.notifier(notify, _warn) if notify else None
    frontend = session.Frontend(console, _report, _ask if sys.stdin.isatty() else None, ended)
    again = resume and storage.place(resume)
    return EXIT[session.resume(again, request, frontend) if again else session.start(request, frontend)]


def _until(text: str | None) -> list[str]:
    """Return the setting that ends each training at a score.

    Raises:
        UsageError: the text has another form. Whether there is such a score, the spec tells.
    """
    if text is None:
        return []
    metric, _, value = text.partition("=")
    if not metric or not value:
        raise UsageError(f"--until-metric {text}: expected METRIC=VALUE, e.g. miou=0.6")
    return [f"train.until={{{metric}: {value}}}"]


def _warn(what: str) -> None:
    console.print(f"warning: {what}", style="yellow", soft_wrap=True)


def _ask(what: str) -> bool:
    """Ask the user whether to redo outdated trials."""
    console.print(f"{what}.", soft_wrap=True)
    return typer.confirm("Redo them? (No keeps them next to new ones)")


def _report(run: Path, again: str | None) -> bool:
    """Write tables and report of a run, tell who won, where the report lies and what to do next.

    An error is printed and not raised: it must not end a run after days of training.

    Args:
        run: folder of the run.
        again: the command that finishes the run; None if it is complete.

    Returns:
        Whether the report was written.
    """
    import reports
    import results

    try:
        results.write_tables(run)
        report = reports.write(run)
        conclusion = reports.conclude(run)
    except Exception as error:
        console.print(f"No report: {type(error).__name__}: {error}", style="red", soft_wrap=True)
        console.print(
            f"All records are kept; once that is mended: python -m bench.report {storage.shown(run)}", soft_wrap=True
        )
        return False
    for line in conclusion.verdict:
        console.print(line, soft_wrap=True)
    console.print(f"Report: {report.with_suffix('.html')}", soft_wrap=True)
    console.print(f"Next: {again or _next(run, conclusion)}", soft_wrap=True)
    if conclusion.recipe:
        console.print(conclusion.recipe, soft_wrap=True)
    return True


def _next(run: Path, conclusion: reports.Conclusion) -> str:
    """Return the commands that follow a complete run: more seeds if it decided nothing, and a use of its weights."""
    place = shlex.quote(storage.shown(run))
    # The verdict of a run that decides is final: going on needs a new plan and new seeds.
    more = f"python -m bench.run --resume {place} --seeds {2 * conclusion.seeds}"
    use = f"python -m bench.predict {place} --trial {conclusion.trial} --images IMAGES --out FOLDER"
    commands = [*([] if conclusion.clear else [more]), *([use] if conclusion.trial else [])]
    return "; ".join(commands or [f"python -m bench.compare RELEASE {place}"])


if __name__ == "__main__":
    start(main)
