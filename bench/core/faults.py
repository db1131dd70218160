"""What is wrong with bad input: the fault that stands for all that pydantic found, and one that it does not find.

Every room may import this file. It imports none of ours.
"""

from __future__ import annotations

import re
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import ValidationError


class Fault(NamedTuple):
    """One fault that pydantic found.

    Attributes:
        path: names and numbers on the way to the field; empty if the fault concerns the whole.
        kind: pydantic's name of the fault, such as `extra_forbidden`.
        message: what is wrong, in plain words.
        value: what was received there.
        others: number of other faults.
    """

    path: tuple[str, ...]
    kind: str
    message: str
    value: Any
    others: int

    @property
    def place(self) -> str:
        """The dotted path of the field."""
        return ".".join(self.path)

    @property
    def told(self) -> str:
        """The message after the place, if there is one."""
        return f"{self.place}: {self.message}" if self.path else self.message


def first_fault(error: ValidationError) -> Fault:
    """Return the fault of a validation that explains the others: the first unknown key if there is one, else the first.

    A misspelt key is also a missing one, and pydantic lists what is missing first.
    """
    found = error.errors(include_url=False)
    first = next((fault for fault in found if fault["type"] == "extra_forbidden"), found[0])
    place = first["loc"]
    if place and place[-1] == "[key]":  # the key of a mapping is wrong; `input` is that key
        place = place[:-2]
    path = tuple(map(str, place))
    return Fault(path, first["type"], _plain(first["msg"]), first["input"], len(found) - 1)


_PLAIN = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r", unable to parse string as an? \w+$"), ""),
    (re.compile(r"^Field required$"), "is missing"),
    (re.compile(r"^Extra inputs are not permitted$"), "is not known"),
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
    (re.compile(r"^(List|Dictionary) should have at least 1 item .*"), "is empty"),
)


def _plain(message: str) -> str:
    """Return a message of pydantic in the words of this project's own messages."""
    for pattern, words in _PLAIN:
        message = pattern.sub(words, message)
    return message


def refuse_truth(value: Any, annotation: Any) -> None:
    """Refuse true and false for a field that takes a number: pydantic would take them for 1 and 0.

    Args:
        value: what was received for the field.
        annotation: of the field.

    Raises:
        ValueError: a number is expected.
    """
    kinds = _kinds(annotation)
    if isinstance(value, bool) and kinds & {int, float} and not kinds & {bool, Any}:
        raise ValueError(f"expected a number, not {str(value).lower()}")


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that a value may have by its annotation: members of a union, types of a literal's values."""
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(_kinds, get_args(annotation)))
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    return {*map(type, get_args(annotation))} if get_origin(annotation) is Literal else {annotation}
