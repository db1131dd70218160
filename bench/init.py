"""`python -m bench.init ROOT`: look at a folder of images and write a first grid for it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bench.core import EXIT_OK, UsageError, command, start

DEFAULTS = {"data.masks": "masks", "data.mask_values": "auto"}


@command
def main(
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    out: Annotated[Path | None, typer.Option(help="The grid file; default: the folder's name with .yaml.")] = None,
    masks: Annotated[str, typer.Option(help="Mask folder of the folder layout.")] = "masks",
    mask_values: Annotated[
        str, typer.Option(help="What the values in masks are: auto, ids, binary or colors.")
    ] = "auto",
) -> int:
    """Look at a folder and write a commented grid file that suits its classes, sizes and imbalance.

    Exit status: 0 written, 2 usage.
    """
    from bench.data import load
    from bench.plan import look_at, starter_grid
    from bench.spec import parse

    settings = {"data.masks": masks, "data.mask_values": mask_values}
    chosen = {name: value for name, value in settings.items() if value != DEFAULTS[name]}
    target = out or Path(f"{root.resolve().name}.yaml")
    if target.suffix not in (".yaml", ".yml"):
        raise UsageError(f"--out {target}: a grid file ends in .yaml")
    if target.exists():
        raise UsageError(f"{target} exists; name another file with --out")
    data = {"dataset": "folder", "root": str(root.resolve()), "masks": masks, "mask_values": mask_values}
    found = load(parse({"data": data}, "bench.init").data)
    text = starter_grid(look_at(found, str(root.resolve()), chosen))
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror or error})") from None
    for note in found.notes:
        print(note)
    print(
        f"{target}: look at it, then: {shlex.join(['python', '-m', 'bench.run', '--grid', str(target), '--dry-run'])}"
    )
    return EXIT_OK


if __name__ == "__main__":
    start(main)
