"""What all commands share: one line and a status for bad input and for a full disk, 130 for Ctrl-C; the console."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.core.errors import EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_USAGE, StorageLost, UsageError

if TYPE_CHECKING:
    from rich.console import Console


def console(**options: Any) -> Console:
    """Make a console that prints text as it is: names, paths and errors may hold square brackets or `:cat:`.

    Color comes by `style=` or by `rich.text.Text`, never by markup. All consoles of the package are made here.

    Args:
        options: those of `rich.console.Console`.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, **options)


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Make a function that returns an exit status into a command body: what a user can mend is one line on stderr."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            status = function(*args, **kwargs)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            status = EXIT_USAGE
        except StorageLost as lost:  # before Ctrl-C, which it is a kind of
            print(f"error: {lost}", file=sys.stderr)
            status = EXIT_INCOMPLETE
        except KeyboardInterrupt:
            status = EXIT_INTERRUPTED
        raise SystemExit(status)

    return run


def start(function: Callable[..., None]) -> None:
    """Parse the command line and run a command."""
    import typer

    typer.run(function)
