"""Which counts of TensorFlow Model Analysis are a whole confusion matrix, and the matrix that they are.

It has no confusion matrix of several classes. It has the true positives of a class, and the false positives among
pixels whose truth is not one id that may be ignored. So the pixels of truth i that are taken for j are the false
positives of j, less those that are left when i is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from bench.core import IGNORE_INDEX

MOST_CLASSES = 32
"""Most classes of which the whole matrix is counted: the time grows with their square. Of more, see `asked_of`."""
NOTHING = IGNORE_INDEX + 1
"""An id that no mask of 8 bits has."""


class Count(NamedTuple):
    """A metric of TensorFlow Model Analysis, which has a value per class.

    Attributes:
        hit: true positives, else false positives.
        ignored: id of the truth whose pixels are not counted.
    """

    hit: bool
    ignored: int

    @property
    def name(self) -> str:
        """Its name in the result."""
        return f"{'hit' if self.hit else 'false'}_without_{self.ignored}"


def asked_of(classes: int) -> list[Count]:
    """Return the counts that are needed for a matrix of this many classes.

    Of more than `MOST_CLASSES` classes they are the true and the false positives of each class, without void: the
    diagonal and the sums of the columns.
    """
    counts = [Count(True, IGNORE_INDEX), Count(False, IGNORE_INDEX)]
    if classes <= MOST_CLASSES:
        counts += [Count(False, ignored) for ignored in (NOTHING, *range(classes))]
    return counts


def matrix_of(found: Mapping[Count, np.ndarray]) -> np.ndarray:
    """Return the confusion matrix of counts, int64, rows = truth.

    Args:
        found: of each count, its values by class, int64 (C,).

    Returns:
        (C, C). Of more than `MOST_CLASSES` classes (2, C): true positives, false positives.

    Raises:
        ValueError: the counts contradict each other.
    """
    hits, false = found[Count(True, IGNORE_INDEX)], found[Count(False, IGNORE_INDEX)]
    if Count(False, NOTHING) not in found:
        return np.stack([hits, false])
    classes = len(hits)
    # Ignoring one class means to count void, so it is taken off on both sides.
    with_void = found[Count(False, NOTHING)]
    matrix = np.stack([with_void - found[Count(False, ignored)] for ignored in range(classes)])
    matrix[np.diag_indices(classes)] = hits
    if not np.array_equal(matrix.sum(0) - hits, false) or (matrix < 0).any():
        raise ValueError("the false positives with and without a class do not add up")
    return matrix


def as_counted(confusion: np.ndarray) -> np.ndarray:
    """Return a confusion matrix (C, C) in the form of `matrix_of` for as many classes."""
    if len(confusion) <= MOST_CLASSES:
        return confusion
    hits = np.diag(confusion)
    return np.stack([hits, confusion.sum(0) - hits])
