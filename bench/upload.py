"""`python -m bench.upload FOLDER`: upload what could not be uploaded to an object store, from the local copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.core import EXIT_OK, UsageError, command, start


@command
def main(
    folder: Annotated[Path, typer.Argument(help="Local folder of a run or of a trial, as a message named it.")],
) -> int:
    """Upload a run or a trial that was written while its object store took nothing.

    What the store has already is not sent again. A trial that has begun elsewhere since is left out.
    """
    from bench.execution import uploads
    from bench.storage import StoreError, mirror_of

    mirror = mirror_of(folder)
    if mirror is None or not folder.is_dir():
        raise UsageError(f"{folder}: not the local copy of a run in an object store; name the folder that was printed")
    try:
        sent = uploads.send_folder(mirror)
    except StoreError as error:
        raise UsageError(str(error)) from None
    for line in sent:
        print(line)
    return EXIT_OK


if __name__ == "__main__":
    start(main)
