"""What all commands share: the console, and how they end.

Bad input and a full disk are reported in one line, with an exit status. Ctrl-C ends with status 130.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.core.errors import EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_USAGE, StorageLost, UsageError

if TYPE_CHECKING:
    from rich.console import Console


def console(**options: Any) -> Console:
    """Make a console that prints text as it is, because names, paths and errors may contain `[...]` or `:cat:`.

    Colour is set with `style=` or `rich.text.Text`, never with markup. All consoles of the package are made here.

    Args:
        options: those of `rich.console.Console`.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, **options)


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Turn a function that returns an exit status into the body of a command, which exits with that status.

    A `UsageError` is printed as one line on stderr (status 2), `StorageLost` likewise (status 4). Ctrl-C gives 130.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            status = function(*args, **kwargs)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            status = EXIT_USAGE
        except StorageLost as lost:  # before KeyboardInterrupt, its base class
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
