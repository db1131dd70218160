"""The options of commands that resolve a grid, declared once. `GridRequest` takes their values."""

from pathlib import Path
from typing import Annotated

import typer

Grid = Annotated[str | None, typer.Option(help="A shipped grid's name, or a file ending in .yaml; default: losses.")]
DatasetName = Annotated[str | None, typer.Option(help="Data set by name; default: the embedded scenes.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of the data set, or s3://BUCKET/FOLDER.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Seeds of every cell; default: the preset's.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec; repeatable.")]
Only = Annotated[list[str] | None, typer.Option(help="axis=value,value keeps part of the grid; repeatable.")]
Preset = Annotated[str | None, typer.Option(help="smoke, quick, study or full; default: the grid's own, else quick.")]
GpusPerTrial = Annotated[int | None, typer.Option(min=0, help="GPUs per trial; default: 1 if there are any.")]
TrialTimeout = Annotated[float | None, typer.Option(min=1, help="Seconds for one trial; default: no limit.")]
