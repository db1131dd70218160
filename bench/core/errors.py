"""Exit statuses, and the errors that a user can cause. A message is one line that says what, where and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydantic import ValidationError

EXIT_OK = 0
EXIT_REGRESSION = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_INCOMPLETE = 4
EXIT_INTERRUPTED = 130


class UsageError(Exception):
    """Bad input. The message is one line for the terminal; the command exits with status 2."""


class StorageLost(KeyboardInterrupt):
    """Results can no longer be written, so that it is useless to continue. The message is one line for the terminal.

    It is a KeyboardInterrupt, so that it ends a run as Ctrl-C does and no `except Exception` holds it up.
    """


def nearest(name: object, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` if a known name is close to `name`, else the list of known names."""
    options = sorted(known)
    close = difflib.get_close_matches(str(name), options, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(options)}" if options else ""


class Fault(NamedTuple):
    """The first fault that pydantic found.

    Attributes:
        place: dotted path of the field; empty if the fault concerns the whole.
        kind: pydantic's name of the fault, such as `extra_forbidden`.
        message: what is wrong, as pydantic words it.
        value: what was received there.
    """

    place: str
    kind: str
    message: str
    value: Any

    @property
    def words(self) -> str:
        """The message, without the prefix that pydantic gives to messages of this project's own rules."""
        return self.message.removeprefix("Value error, ")


def first_fault(error: ValidationError) -> Fault:
    """Return the first fault of a validation."""
    first = error.errors(include_url=False)[0]
    return Fault(".".join(map(str, first["loc"])), first["type"], first["msg"], first["input"])
