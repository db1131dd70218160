"""What a law is, and how a loss is held against it."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from losses.laws.examples import SIZES, Example, example
from losses.laws.subject import Broken, Subject

Verdict = Literal["holds", "broken", "not applicable"]


class Law(NamedTuple):
    """A property that a loss has on any image.

    Attributes:
        name: as `exceptions` of a loss and tables name it.
        statement: the property, in one line.
        essential: whether a loss that breaks it cannot be trained with, or is not what it seems.
        check: raises `Broken` if the property does not hold on an example.
        idle: returns why the law does not apply to a loss; empty if it does.
    """

    name: str
    statement: str
    essential: bool
    check: Callable[[Subject, Example], None]
    idle: Callable[[Subject], str]


class Finding(NamedTuple):
    """What became of a law: `why` is its smallest counter-example, or why it does not apply; else empty."""

    law: Law
    verdict: Verdict
    why: str = ""


def always(subject: Subject) -> str:
    """Let a law apply to every loss."""
    del subject
    return ""


def with_weights(subject: Subject) -> str:
    """Let a law apply to losses that take pixel weights."""
    return "" if subject.weighs_pixels else "it has no value per pixel, so that pixels have no weights"


def hold(law: Law, subject: Subject) -> Finding:
    """Hold a loss against a law, and find the smallest example on which it is broken.

    An exception of the loss is a broken law, too.
    """
    if law.name in subject.loss.exceptions:
        return Finding(law, "not applicable", "the loss declares it as an exception")
    try:
        reason = law.idle(subject)
    except Exception as error:
        return Finding(law, "broken", _in_a_line(error))
    if reason:
        return Finding(law, "not applicable", reason)
    *smaller, whole = SIZES
    if not (fault := _fault(law, subject, example(*whole, classes=subject.classes))):
        return Finding(law, "holds")
    for size in smaller:
        if less := _fault(law, subject, example(*size, classes=subject.classes)):
            return Finding(law, "broken", less)
    return Finding(law, "broken", fault)


def _fault(law: Law, subject: Subject, on: Example) -> str:
    """Return how an example breaks a law, in one line; empty if it does not."""
    try:
        law.check(subject, on)
    except Exception as error:
        return f"{on}: {_in_a_line(error)}"
    return ""


def _in_a_line(error: Exception) -> str:
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return first if isinstance(error, Broken) else f"{type(error).__name__}: {first}"[:300]
