"""Two confusion matrices of one model on one split: equal to the last integer, or where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.audit.counts import as_counted
from results import class_iou, counted

MOST_SHOWN = 12
"""Most classes whose matrices are printed whole; of more, the entries that differ."""


@dataclass(frozen=True)
class Verdict:
    """The matrix of a record beside that of TensorFlow Model Analysis.

    Attributes:
        record: (C, C) int64, rows = truth.
        counted: by TensorFlow Model Analysis, in the form of `counts.matrix_of`.
        names: of the classes.
    """

    record: np.ndarray
    counted: np.ndarray
    names: Sequence[str]

    @property
    def equal(self) -> bool:
        """Return whether every entry is equal."""
        return np.array_equal(as_counted(self.record), self.counted)

    @property
    def whole(self) -> bool:
        """Return whether whole matrices are compared, and not only true and false positives."""
        return self.counted.shape == self.record.shape

    def lines(self) -> Iterator[str]:
        """Yield the two matrices, or where they differ, and the sentence that judges them."""
        ours = as_counted(self.record)
        if len(self.names) <= MOST_SHOWN:
            for title, matrix in (("record", self.record), ("TFMA", self.counted)):
                yield f"{title} (rows: truth, columns: prediction; pixels)"
                yield from _rows(matrix, self.names)
        else:
            for title, matrix in (("record", ours), ("TFMA", self.counted)):
                yield f"{title}: {matrix.sum()} pixels, of which {self._hits(matrix)} hit"
        for place in zip(*np.nonzero(ours != self.counted), strict=True):
            yield f"{self._place(*map(int, place))}: record {ours[place]}, TFMA {self.counted[place]}"
        yield self._sentence(ours)

    def _hits(self, matrix: np.ndarray) -> int:
        return int(np.trace(matrix) if self.whole else matrix[0].sum())

    def _place(self, row: int, column: int) -> str:
        if self.whole:
            return f"truth {self.names[row]}, prediction {self.names[column]}"
        return f"{('true', 'false')[row]} positives of {self.names[column]}"

    def _sentence(self, ours: np.ndarray) -> str:
        what = "the confusion matrices are" if self.whole else "true and false positives of every class are"
        differing = int((ours != self.counted).sum())
        if not differing:
            return f"{what} equal to the last integer: {ours.sum()} pixels, mIoU {_miou(self.record)}"
        pixels = int(np.abs(ours - self.counted).sum())
        told = f"{counted(differing, 'entry differs', 'entries differ')}, by {counted(pixels, 'pixel')} in all"
        return f"{told}; mIoU {_miou(self.record)} in the record, {_miou(self.counted)} by TFMA" if self.whole else told


def _miou(matrix: np.ndarray) -> float:
    return float(np.nanmean(class_iou(matrix)))


def _rows(matrix: np.ndarray, names: Sequence[str]) -> Iterator[str]:
    width = max(len(str(value)) for value in matrix.flat)
    title = max(map(len, names))
    for name, row in zip(names, matrix, strict=True):
        yield f"  {name:{title}}  {'  '.join(f'{value:{width}}' for value in row)}"
