"""Part of messages about bad input: the first fault of a file."""

from typing import NamedTuple

from pydantic import ValidationError


class Fault(NamedTuple):
    """The first fault that pydantic found: its path in the file, its message, and the number of other faults."""

    path: tuple[str, ...]
    message: str
    others: int


def first_fault(error: ValidationError) -> Fault:
    """Return the first fault of a validation."""
    first, *others = error.errors(include_url=False, include_context=False)
    return Fault(tuple(map(str, first["loc"])), first["msg"].removeprefix("Value error, "), len(others))
