"""What a message about bad input is made of: the nearest right name, and the first fault of a file."""

import difflib
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError


def did_you_mean(name: str, known: Mapping[str, object]) -> str:
    """Return `; did you mean X?` when a known name is close to `name`, else nothing.

    Args:
        name: what was given.
        known: each right name and how it is written in the answer.
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {known[close[0]]}?" if close else ""


class Fault(NamedTuple):
    """The first of what pydantic found wrong: its path in the file, what it is, and how many others there are."""

    path: tuple[str, ...]
    message: str
    others: int


def first_fault(error: ValidationError) -> Fault:
    """Return the first fault of a validation."""
    first, *others = error.errors(include_url=False, include_context=False)
    return Fault(tuple(map(str, first["loc"])), first["msg"].removeprefix("Value error, "), len(others))
