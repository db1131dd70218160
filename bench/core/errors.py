"""Exit statuses, and the errors that a user can cause. A message is one line that says what, where and what to do."""

from __future__ import annotations

import re
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


class Fault(NamedTuple):
    """The first fault that pydantic found.

    Attributes:
        place: dotted path of the field; empty if the fault concerns the whole.
        kind: pydantic's name of the fault, such as `extra_forbidden`.
        message: what is wrong, in plain words.
        value: what was received there.
    """

    place: str
    kind: str
    message: str
    value: Any


def first_fault(error: ValidationError) -> Fault:
    """Return the fault of a validation that explains the others: the first unknown key if there is one, else the first.

    A misspelt key is also a missing one, and pydantic lists what is missing first.
    """
    found = error.errors(include_url=False)
    first = next((fault for fault in found if fault["type"] == "extra_forbidden"), found[0])
    return Fault(".".join(map(str, first["loc"])), first["type"], _plain(first["msg"]), first["input"])


_PLAIN = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r", unable to parse string as an? \w+$"), ""),
    (re.compile(r"^Field required$"), "is missing"),
    (re.compile(r"^Input should be "), "must be "),
    (re.compile(r"^must be greater than or equal to "), "must be at least "),
    (re.compile(r"^must be less than or equal to "), "must be at most "),
    (re.compile(r"^must be greater than "), "must be above "),
    (re.compile(r"^must be less than "), "must be below "),
    (re.compile(r"^must be a valid integer.*"), "must be a whole number"),
    (re.compile(r"^must be a valid boolean.*"), "must be true or false"),
    (re.compile(r"^must be a valid string$"), "must be text"),
    (re.compile(r"^must be a valid dictionary.*"), "must be a mapping"),
    (re.compile(r"^must be a valid "), "must be a "),
)


def _plain(message: str) -> str:
    """Return a message of pydantic in the words of this project's own messages."""
    for pattern, words in _PLAIN:
        message = pattern.sub(words, message)
    return message
