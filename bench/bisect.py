"""`python -m bench.bisect GOOD BAD --grid losses --only loss=dice`: find the commit that made a metric worse."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.bisection import JOURNAL, Answer, BisectRequest, Limits, begin, resume
from bench.core import (
    EXIT_INCOMPLETE,
    EXIT_INCONCLUSIVE,
    EXIT_OK,
    EXIT_REGRESSION,
    UsageError,
    check_rooms,
    cli,
    command,
    signals,
    start,
)
from bench.plan import GridRequest, options

STATUS = {
    "none": EXIT_OK, "found": EXIT_REGRESSION, "undecided": EXIT_INCONCLUSIVE, "failed": EXIT_INCOMPLETE
}  # fmt: skip


class Metric(StrEnum):
    """What a search follows."""

    miou = "miou"
    images_per_second = "images_per_second"
    memory = "memory"
    start = "start"


class Format(StrEnum):
    """How the answer is printed."""

    text = "text"
    json = "json"


@command
def main(
    good: Annotated[str | None, typer.Argument(help="A revision before the metric got worse.")] = None,
    bad: Annotated[str | None, typer.Argument(help="A later one; a folder, such as ., is its working tree.")] = None,
    grid: options.Grid = None,
    only: options.Only = None,
    metric: Annotated[
        Metric, typer.Option(help="memory is the peak in MiB; start is seconds until the first step is over.")
    ] = Metric.images_per_second,
    margin: Annotated[
        float | None, typer.Option(min=1e-9, max=0.99, help="Smallest change that matters; default: margins.yaml.")
    ] = None,
    set_: options.Set = None,
    dataset: options.DatasetName = None,
    data_root: options.DataRoot = None,
    preset: options.Preset = None,
    gpus_per_trial: options.GpusPerTrial = None,
    disturbed: Annotated[
        bool, typer.Option("--disturbed", help="Count speeds measured beside other work, too: right, but more trials.")
    ] = False,
    turns: Annotated[int, typer.Option(min=3, max=1000, help="Turns after which a step stays undecided.")] = 16,
    budget_trials: Annotated[int | None, typer.Option(min=1, help="End after so many trials.")] = None,
    budget_hours: Annotated[float | None, typer.Option(min=0, help="End after so many hours of trials.")] = None,
    trial_timeout: options.TrialTimeout = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the search; default: runs/bisect-METRIC-TIME.")] = None,
    continued: Annotated[
        Path | None, typer.Option("--resume", help="Folder of a search that was interrupted or ran out of its budget.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print the answer; json prints nothing else.")] = Format.text,
) -> int:
    """Find the commit between GOOD and BAD that made a metric worse, by as many trials as the noise asks for.

    Exit status: 0 BAD is not worse, 1 a commit or a range of commits is found, 2 usage, 3 undecided, 4 GOOD or BAD
    cannot be measured, 130 interrupted.
    """
    signals.install()
    check_rooms()
    console = cli.console(stderr=format is Format.json)
    limits = Limits(budget_trials, budget_hours)
    what = GridRequest(
        grid=grid, dataset=dataset, data_root=data_root, only=tuple(only or ()), preset=preset,
        gpus_per_trial=gpus_per_trial, settings=tuple(set_ or ()),
    )  # fmt: skip

    def say(text: str) -> None:
        console.print(text, soft_wrap=True)

    if continued is not None:
        _refuse_beside_resume(good, bad, what)
        return _end(resume(continued, limits, say), continued, format)
    if good is None or bad is None:
        raise UsageError("GOOD and BAD are wanted: python -m bench.bisect GOOD BAD --grid NAME; or --resume FOLDER")
    request = BisectRequest(
        repository=Path.cwd(), good=good, bad=bad, what=what, metric=metric.value, margin=margin, disturbed=disturbed,
        most_turns=turns, trial_timeout=trial_timeout, out=out,
        command=shlex.join(["python", "-m", "bench.bisect", *sys.argv[1:]]),
    )  # fmt: skip
    folder, answer = begin(request, limits, say)
    return _end(answer, folder, format)


def _refuse_beside_resume(good: str | None, bad: str | None, what: GridRequest) -> None:
    """Refuse what a search fixed at its beginning.

    Raises:
        UsageError: a revision or an option of the grid is given.
    """
    if given := [*filter(None, (good, bad)), *what.fields_set]:
        raise UsageError(f"--resume: {given[0]}: a search keeps what it began with; only budgets may change")


def _end(answer: Answer, folder: Path, format: Format) -> int:
    """Print an answer and return the exit status."""
    if format is Format.json:
        print(json.dumps(answer.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        cli.console().print(f"{answer.text}\nAll of it: {folder / JOURNAL}", soft_wrap=True)
    return STATUS[answer.outcome]


if __name__ == "__main__":
    start(main)
