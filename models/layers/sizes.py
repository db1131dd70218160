"""Whole-number arithmetic on the sizes of maps, for Python's numbers and for scalar tensors.

No operand is negative. TensorFlow rounds a negative quotient down, as Python does; the formats that a model is exported
to round it towards zero.
"""

from __future__ import annotations

from typing import Any


def divided_up(size: Any, by: int) -> Any:
    """Return `size / by`, rounded up; `size` is 0 or more.

    >>> divided_up(9, 4), divided_up(8, 4)
    (3, 2)
    """
    return (size + (by - 1)) // by


def to_multiple(size: Any, multiple: int) -> Any:
    """Return what `size`, 0 or more, lacks to the next multiple.

    >>> to_multiple(9, 4), to_multiple(8, 4)
    (3, 0)
    """
    return (multiple - size % multiple) % multiple
