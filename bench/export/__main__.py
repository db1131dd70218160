"""`python -m bench.export RUN/CELL OUT --format onnx`: write a trained model for other runtimes, with a model card."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.core import EXIT_OK, UsageError, check_rooms, command, prepare_process, start
from bench.execution import writable
from bench.export import FORMATS, INSTALL, Views, Written, checked, find_source, write
from bench.prediction import scale_factors


class Kind(StrEnum):
    """A file format."""

    savedmodel = "savedmodel"
    onnx = "onnx"
    litert = "litert"
    tfx = "tfx"


@command
def main(
    source: Annotated[
        Path, typer.Argument(metavar="RUN/TRIAL_OR_CELL", help="A trial's folder, RUN/TRIAL, RUN/CELL, or a run.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder of the export; new or empty.")],
    format: Annotated[
        list[Kind] | None, typer.Option(help="savedmodel, onnx, litert or tfx; repeatable; default: savedmodel.")
    ] = None,
    scales: Annotated[str, typer.Option(help="Scales to average, e.g. 0.5,1,1.5.")] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
    crf: Annotated[bool, typer.Option("--crf", help="Refine with a dense CRF; savedmodel and tfx only.")] = False,
) -> int:
    """Write a trial's model as a SavedModel, ONNX or LiteRT file, with a model card (README.md).

    Each file is run by its own runtime, if that is installed, and compared with Keras at three sizes. A file takes
    images of any size and gives labels and probabilities. The SavedModel of `tfx` also takes serialized
    tf.train.Examples, as TensorFlow Extended feeds them; their label maps are compared with `bench.predict`.

    Exit status: 0 done, 2 usage, or a format that has no form of the model.
    """
    check_rooms()
    kinds = [FORMATS[kind] for kind in dict.fromkeys(format or [Kind.savedmodel])]
    views = Views(tuple(scale_factors(scales)), flip, crf)
    found = find_source(source)
    checked(found, kinds, views)
    writable(out)
    if any(out.iterdir()) if out.is_dir() else out.exists():
        raise UsageError(f"{out} is not empty; name a new or an empty folder")
    prepare_process()
    for one in write(found, kinds, views, out):
        print(_line(one))
    print(f"{out / 'README.md'}: the model card of trial {found.trial.record.trial}")
    return EXIT_OK


def _line(one: Written) -> str:
    beside = one.beside or f"not compared with Keras: {one.format.runtime[0]} is not installed (`{INSTALL}`)"
    return f"{one.path}: {one.size_mb:.1f} MiB; {beside}"


if __name__ == "__main__":
    start(main)
