"""`python -m bench.tfx.handover RUN OUT FACTS`: write the model of a run's best cell for TFX, and what the run found.

It runs in the project's environment; what it hands over are files.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.core import EXIT_OK, UsageError, command, prepare_process, start

if TYPE_CHECKING:
    import results


@dataclass(frozen=True)
class Facts:
    """What a run found.

    Attributes:
        folder: of the run, or of a lone trial.
        trials: number of trials that ended well.
        failed: number of trials that did not, or that left no record.
        best_trial: id of the trial whose model was handed over.
        best_cell: label of its cell.
        best_miou: mean mIoU of that cell over its seeds on the validation split, 0..1.
    """

    folder: str
    trials: int
    failed: int
    best_trial: str
    best_cell: str
    best_miou: float


def read_facts(path: Path) -> Facts:
    """Read the facts that the command wrote."""
    return Facts(**json.loads(path.read_text(encoding="utf-8")))


def found_in(source: Path) -> Facts:
    """Return what the records of a run or of a lone trial say.

    Raises:
        UsageError: there is no record, or no complete trial of the best cell kept its weights.
    """
    import reports
    import results

    try:
        run = results.read_run(source)
        trial = reports.conclude(source).trial
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not trial:
        raise UsageError(
            f"{source}: no complete trial of the best cell kept its weights; train with "
            "eval.keep_checkpoint=best or last"
        )
    best = next(one.record for one in run.trials if one.record.trial == trial)
    well = [one.record for one in run.trials if one.record.status == "ok"]
    scores = [_miou(record) for record in well if record.cell == best.cell]
    lost = len(run.trials) - len(well) + len(results.missing(run))
    mean = sum(scores) / len(scores)
    return Facts(str(source.resolve()), len(well), lost, trial, best.label, mean)


def _miou(record: results.Record) -> float:
    return next(view.miou for view in record.views if view.split == "val" and view.miou is not None)


def write_model(source: Path, trial: str, out: Path) -> None:
    """Write the model of a trial as TFX takes it, compared with `bench.predict`: `Format-Serving/`, and its card.

    Args:
        source: folder of a run, or of the trial.
        trial: its id.
        out: folder of a Model artifact.

    Raises:
        UsageError: its weights do not fit, or the file does not compute what the model does.
    """
    from bench.export import FORMATS, Views, find_source, write

    found = find_source(source if (source / "record.json").is_file() else source / trial)
    write(found, [FORMATS["tfx"]], Views(), out)


@command
def main(
    source: Annotated[Path, typer.Argument(help="Folder of a run, or of a trial.")],
    out: Annotated[Path, typer.Argument(help="Folder of a Model artifact; new or empty.")],
    facts: Annotated[Path, typer.Argument(help="File for what the run found.")],
) -> int:
    """Write the model of a run's best cell for TFX, and a file of what the run found.

    Exit status: 0 done, 2 usage.
    """
    prepare_process()
    found = found_in(source)
    write_model(source, found.best_trial, out)
    facts.parent.mkdir(parents=True, exist_ok=True)
    facts.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return EXIT_OK


if __name__ == "__main__":
    start(main)
