"""What all commands share: the console, and how they end.

Bad input and a full disk are reported in one line, with an exit status. Ctrl-C ends with status 130.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import select
import shlex
import sys
from collections.abc import Callable, Collection
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bench.core.errors import EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_UNREAD, EXIT_USAGE, StorageLost, UsageError
from bench.core.shadowing import shadows

if TYPE_CHECKING:
    from rich.console import Console
    from typer import Typer

HELP = {"help_option_names": ["-h", "--help"]}
"""Settings of every command."""


def console(**options: Any) -> Console:
    """Make a console that prints text as it is, because names, paths and errors may contain `[...]` or `:cat:`.

    Colour is set with `style=` or `rich.text.Text`, never with markup. All consoles of the package are made here.

    Args:
        options: those of `rich.console.Console`.
    """
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False, **options)
    # Rich would exit, with the status 1.
    made.on_broken_pipe = lambda: _discard(made.file)  # type: ignore[method-assign]
    return made


def _discard(output: IO[str]) -> None:
    """Let what is still written to a standard output go nowhere, so that the interpreter can flush it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output.fileno())
    os.close(nowhere)


def _is_unread() -> bool:
    """Return whether standard output is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Turn a function that returns an exit status into the body of a command, which exits with that status.

    A `UsageError` is printed as one line on stderr (status 2), `StorageLost` likewise (status 4). Ctrl-C gives 130. A
    full disk is one line (status 4). If standard output is a pipe whose reader has gone, nothing is said: the status is
    that of the command if its work is done, else 141, as of other programs.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal's encoding lacks ends no command
            sys.stdout.reconfigure(errors="backslashreplace")
        for path in shadows():
            print(f"note: {path} is not imported: the suite has a package {path.stem!r} of its own", file=sys.stderr)
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
        except OSError as error:
            status = _unwritten(error)
        try:
            if sys.stdout is not None:  # as it is under `>&-`
                sys.stdout.flush()
        except OSError as error:  # the work is done, whether somebody reads of it or not
            status = status if isinstance(error, BrokenPipeError) else _unwritten(error)
            _discard(sys.stdout)
        raise SystemExit(status)

    return run


def _unwritten(error: OSError) -> int:
    """Return the exit status of a command that could not write, after a line that says why.

    Raises:
        OSError: the error, if it is of another kind.
    """
    if isinstance(error, BrokenPipeError) and _is_unread():
        _discard(sys.stdout)
        return EXIT_UNREAD
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    print(f"error: {error.filename or 'output'}: cannot be written: {error.strerror}; make room", file=sys.stderr)
    return EXIT_INCOMPLETE


def typed(module: str, without: Collection[str] = ()) -> str:
    """Return the command line as it was typed.

    Args:
        module: of the command, `bench.NAME`.
        without: options that are left out with their values, because these may hold secrets.
    """
    by_name = {"segbench": ["segbench"], "__main__.py": ["python", "-m", "bench"]}
    words = [
        word for before, word in pairwise(sys.argv) if before not in without and word.partition("=")[0] not in without
    ]
    return shlex.join([*by_name.get(Path(sys.argv[0]).name, ["python", "-m", module]), *words])


def app(function: Callable[..., None], **settings: Any) -> Typer:
    """Return a command as an application of Typer.

    Args:
        function: the command.
        settings: of its context, such as `ignore_unknown_options`.
    """
    import typer

    made = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)
    made.command(context_settings={**HELP, **settings})(function)
    return made


def start(what: Callable[..., None] | Typer, **options: Any) -> None:
    """Parse the command line, run a command or an application, and exit with its status.

    Args:
        what: the command, as `command` made it, or an application.
        options: of the call of the application, such as `prog_name`.
    """
    import typer

    made = what if isinstance(what, typer.Typer) else app(what)
    wrong: Any = typer.BadParameter.__base__  # UsageError, which Typer does not export
    try:
        raise SystemExit(made(standalone_mode=False, **options))
    except wrong as error:
        if text := error.format_message().strip().rstrip("."):  # nothing, where the help was printed
            hint = f" (options: {error.ctx.command_path} -h)" if error.ctx else ""
            print(f"error: {text}{hint}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from None
