"""One run against another: what may be compared, and the verdict per cell."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from results.comparison.comparing import TRIALS, VERDICTS, Comparison, ComparisonRow, Verdict, compare, split_alike
    from results.comparison.margins import Margins, Metric

_HOMES = {
    "Comparison": "results.comparison.comparing",
    "ComparisonRow": "results.comparison.comparing",
    "Margins": "results.comparison.margins",
    "Metric": "results.comparison.margins",
    "TRIALS": "results.comparison.comparing",
    "VERDICTS": "results.comparison.comparing",
    "Verdict": "results.comparison.comparing",
    "compare": "results.comparison.comparing",
    "split_alike": "results.comparison.comparing",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
