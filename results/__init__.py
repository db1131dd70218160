"""Records of trials, their tables and their statistics. No TensorFlow, no Ray, nothing else of the project.

Names are resolved at their first use (PEP 562), so `import results` loads nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from results import release, scaling, statistics
    from results.comparison import margins
    from results.comparison.alignment import split_alike
    from results.comparison.comparing import compare
    from results.comparison.margins import Margins
    from results.comparison.types import TRIALS, VERDICTS, Comparison, ComparisonRow, Verdict
    from results.lines import History, Line, Point, Step, cell_history, distinct_names
    from results.record import (
        SCHEMA_VERSION,
        SCORING_VERSION,
        Artefact,
        ArtefactKind,
        Best,
        Clocks,
        Dataset,
        Epoch,
        Failure,
        Memory,
        Record,
        Target,
        Throughput,
        TrainMetrics,
        ValMetrics,
        View,
        plain,
    )
    from results.release import publish, published, published_runs
    from results.scaling import Row, rows, starts
    from results.scores import class_iou, mean_iou
    from results.store import (
        LOG,
        Run,
        Stored,
        artefact,
        artefact_path,
        find,
        iterate,
        locate,
        missing,
        read,
        read_manifest,
        read_run,
        release_of,
        releases_folder,
        sha256,
        write,
        write_bytes,
        writing,
    )
    from results.table import VIEW_METRICS, classes, history, load, trials, write_tables

_HOMES = {
    "Artefact": "results.record",
    "ArtefactKind": "results.record",
    "Best": "results.record",
    "Clocks": "results.record",
    "Comparison": "results.comparison.types",
    "ComparisonRow": "results.comparison.types",
    "Dataset": "results.record",
    "Epoch": "results.record",
    "Failure": "results.record",
    "History": "results.lines",
    "LOG": "results.store",
    "Line": "results.lines",
    "Margins": "results.comparison.margins",
    "Memory": "results.record",
    "Point": "results.lines",
    "Record": "results.record",
    "Row": "results.scaling",
    "Run": "results.store",
    "SCHEMA_VERSION": "results.record",
    "SCORING_VERSION": "results.record",
    "Step": "results.lines",
    "Stored": "results.store",
    "TRIALS": "results.comparison.types",
    "Target": "results.record",
    "Throughput": "results.record",
    "TrainMetrics": "results.record",
    "VERDICTS": "results.comparison.types",
    "VIEW_METRICS": "results.table",
    "ValMetrics": "results.record",
    "Verdict": "results.comparison.types",
    "View": "results.record",
    "artefact": "results.store",
    "artefact_path": "results.store",
    "class_iou": "results.scores",
    "cell_history": "results.lines",
    "classes": "results.table",
    "compare": "results.comparison.comparing",
    "distinct_names": "results.lines",
    "find": "results.store",
    "history": "results.table",
    "iterate": "results.store",
    "load": "results.table",
    "locate": "results.store",
    "mean_iou": "results.scores",
    "missing": "results.store",
    "plain": "results.record",
    "publish": "results.release",
    "published": "results.release",
    "published_runs": "results.release",
    "read": "results.store",
    "read_manifest": "results.store",
    "read_run": "results.store",
    "release_of": "results.store",
    "releases_folder": "results.store",
    "rows": "results.scaling",
    "sha256": "results.store",
    "split_alike": "results.comparison.alignment",
    "starts": "results.scaling",
    "trials": "results.table",
    "write": "results.store",
    "write_bytes": "results.store",
    "write_tables": "results.table",
    "writing": "results.store",
}
_MODULES = {
    "margins": "results.comparison.margins",
    "release": "results.release",
    "scaling": "results.scaling",
    "statistics": "results.statistics",
}
__all__ = sorted((*_HOMES, *_MODULES))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
