"""Comparison of two runs: which numbers may be compared, and the verdict per cell."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.comparison.alignment import split_alike
    from results.comparison.comparing import compare
    from results.comparison.margins import Margins, Metric
    from results.comparison.types import TRIALS, VERDICTS, Comparison, ComparisonRow, Verdict
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
