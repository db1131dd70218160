"""`python -m bench.audit RUN`: let TensorFlow Model Analysis count a trial's confusion matrix once more."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.audit import (
    Verdict,
    asked_of,
    check_installed,
    checked_record,
    counted_by_tfma,
    gathered,
    matrix_of,
)
from bench.core import EXIT_OK, EXIT_REGRESSION, UsageError, check_rooms, command, prepare_process, start
from bench.export import find_source


class Split(StrEnum):
    """A split that trials are scored on."""

    val = "val"
    test = "test"


@command
def main(
    source: Annotated[
        Path, typer.Argument(metavar="RUN/TRIAL_OR_CELL", help="A trial's folder, RUN/TRIAL, RUN/CELL, or a run.")
    ],
    split: Annotated[Split, typer.Option(help="The split whose matrix is counted again.")] = Split.val,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data set, if it has moved.")] = None,
) -> int:
    """Let TensorFlow Model Analysis count a trial's confusion matrix once more, and compare with the record.

    The trial's model is written as a SavedModel and its split as shards; TensorFlow Model Analysis runs the one on the
    other and counts pixels with its own code. Needs the extra `tfma`.

    Exit status: 0 equal to the last integer, 1 not equal, 2 usage.
    """
    check_rooms()
    found = find_source(source)
    spec, confusion = checked_record(found, split.value, data_root)
    check_installed()
    prepare_process()
    print(f"trial {found.trial.record.trial}, split {split.value}", flush=True)
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        material = gathered(found, spec, confusion, split.value, Path(folder))
        asked = asked_of(len(material.names))
        counts = counted_by_tfma(material.model, material.shards, asked, len(material.names), Path(folder) / "tfma")
    try:
        verdict = Verdict(confusion, matrix_of(counts), material.names)
    except ValueError as error:
        raise UsageError(f"TensorFlow Model Analysis contradicts itself: {error}") from None
    for line in verdict.lines():
        print(line)
    return EXIT_OK if verdict.equal else EXIT_REGRESSION


if __name__ == "__main__":
    start(main)
