"""Parts of messages about bad input: the nearest right name, and the first fault of a file."""

import difflib
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError


def did_you_mean(name: str, known: Mapping[str, object]) -> str:
    """Return `; did you mean X?` if a known name is close to `name`, otherwise an empty text.

    Args:
        name: the name that was given.
        known: {right name: how the answer writes it}.
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {known[close[0]]}?" if close else ""


class Fault(NamedTuple):
    """The first fault that pydantic found: its path in the file, its message, and the number of other faults."""

    path: tuple[str, ...]
    message: str
    others: int


def first_fault(error: ValidationError) -> Fault:
    """Return the first fault of a validation."""
    first, *others = error.errors(include_url=False, include_context=False)
    return Fault(tuple(map(str, first["loc"])), first["msg"].removeprefix("Value error, "), len(others))
