"""`python -m bench.score PRED_DIR --data-root ROOT --label NAME --out RUN`: score label maps of any framework."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.core import EXIT_OK, check_rooms, cli, command, prepare_process, start
from bench.plan import data_of
from bench.scoring import ScoreRequest, score
from results import counted

console = cli.console()


class ScoredSplit(StrEnum):
    """A split that can be scored."""

    val = "val"
    test = "test"


@command
def main(
    predictions: Annotated[Path, typer.Argument(help="Folder of label maps, KEY.png or KEY.npy for each image.")],
    label: Annotated[str, typer.Option(help="Name of what predicted, such as a model with its settings.")],
    out: Annotated[Path, typer.Option(help="The run's folder; further calls add to it.")],
    dataset: Annotated[str | None, typer.Option(help="Data set by name; default: folder.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    split: Annotated[ScoredSplit, typer.Option(help="The split that was predicted.")] = ScoredSplit.test,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the training that predicted.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="data.FIELD=value, such as data.masks=labels; repeatable.")
    ] = None,
) -> int:
    """Score label maps that any framework has written, and add the record to a run.

    The report, the comparison and the gate then read the run like any other. Speed and memory are unknown.

    Exit status: 0 done, 2 usage.
    """
    check_rooms()
    section = data_of(dataset, data_root, set_ or [])
    prepare_process()
    request = ScoreRequest(predictions, section, split.value, label, seed, out, cli.typed("bench.score"))
    folder, record = score(request)
    (view,) = record.views
    assert view.miou is not None
    where = f"{counted(view.images, 'image')} of the split {split.value}"
    console.print(f"{label}, seed {seed}: mIoU {100 * view.miou:.2f} % on {where}: {folder}", soft_wrap=True)
    console.print(f"Next: python -m bench.report {out}", soft_wrap=True)
    return EXIT_OK


if __name__ == "__main__":
    start(main)
