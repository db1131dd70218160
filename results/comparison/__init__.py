"""Comparison of two runs: which numbers may be compared, and the verdict per cell."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from results.comparison.alignment import split_alike
    from results.comparison.comparing import compare
    from results.comparison.margins import Margins, Metric
    from results.comparison.types import TRIALS, VERDICTS, Comparison, ComparisonRow, Verdict

_HOMES = {
    "Comparison": "results.comparison.types",
    "ComparisonRow": "results.comparison.types",
    "Margins": "results.comparison.margins",
    "Metric": "results.comparison.margins",
    "TRIALS": "results.comparison.types",
    "VERDICTS": "results.comparison.types",
    "Verdict": "results.comparison.types",
    "compare": "results.comparison.comparing",
    "split_alike": "results.comparison.alignment",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
