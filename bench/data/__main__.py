"""`python -m bench.data sheet FILE.png`: look at a data set before training on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import command
from bench.data import load
from bench.errors import EXIT_OK, UsageError, nearest

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """Look at data sets."""


@app.command()
@command
def sheet(
    out: Annotated[Path, typer.Argument(help="The PNG to write.")],
    dataset: str = "scenes",
    data_root: Annotated[str | None, typer.Option(help="Folder of the set, for --dataset folder.")] = None,
    masks: Annotated[str, typer.Option(help="Mask folder of the folder layout.")] = "masks",
    split: str = "train",
    augment: Annotated[
        str | None, typer.Option(help="A policy: each row an image and samples that the policy makes of it.")
    ] = None,
    columns: Annotated[int, typer.Option(min=1)] = 6,
    rows: Annotated[int, typer.Option(min=1)] = 3,
) -> int:
    """Draw the first examples of a split with their labels and a legend."""
    from bench.data.sheet import compact, variations
    from bench.data.sheet import sheet as draw
    from bench.spec import parse

    section = {"dataset": dataset, "root": data_root, "masks": masks, "crop": 160}
    spec = parse({"data": section | ({"augment": augment} if augment else {})}, "sheet").data
    found = load(spec)
    if split not in found.splits:
        raise UsageError(f"data set {found.name!r} has no split {split!r}{nearest(split, found.splits)}")
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: the sheet is a PNG; end its name in .png")
    if augment:
        found = variations(found, split, spec, columns, rows)
    try:
        compact(draw(found, split, columns, rows), found).save(out, optimize=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror or error})") from None
    for note in found.notes:
        print(note)
    print(out)
    return EXIT_OK


if __name__ == "__main__":
    app()
