"""Statistics of cells over seeds: pure functions of arrays and mappings. No records, no files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from results.statistics.aggregates import (
        Estimate,
        interquartile_mean,
        performance_profile,
        probability_best,
        probability_of_improvement,
    )
    from results.statistics.gate import Change, Decision, changes, decide, headline
    from results.statistics.noise import (
        Difference,
        Interval,
        Pool,
        Ranking,
        between,
        difference,
        holm,
        intervals,
        pool,
        power_of_t,
        rank,
        smallest_detectable,
    )

_HOMES = {
    "Change": "results.statistics.gate",
    "Decision": "results.statistics.gate",
    "Difference": "results.statistics.noise",
    "Estimate": "results.statistics.aggregates",
    "Interval": "results.statistics.noise",
    "Pool": "results.statistics.noise",
    "Ranking": "results.statistics.noise",
    "between": "results.statistics.noise",
    "changes": "results.statistics.gate",
    "decide": "results.statistics.gate",
    "difference": "results.statistics.noise",
    "headline": "results.statistics.gate",
    "holm": "results.statistics.noise",
    "interquartile_mean": "results.statistics.aggregates",
    "intervals": "results.statistics.noise",
    "performance_profile": "results.statistics.aggregates",
    "pool": "results.statistics.noise",
    "power_of_t": "results.statistics.noise",
    "probability_best": "results.statistics.aggregates",
    "probability_of_improvement": "results.statistics.aggregates",
    "rank": "results.statistics.noise",
    "smallest_detectable": "results.statistics.noise",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
