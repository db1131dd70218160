"""Records of trials, their tables and their statistics. No TensorFlow, no Ray, nothing else of the project.

Names are resolved when they are first used (PEP 562), so `import results` costs nothing.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "SCHEMA_VERSION": "record",
    "SCORING_VERSION": "record",
    "Artefact": "record",
    "Best": "record",
    "Clocks": "record",
    "Dataset": "record",
    "Epoch": "record",
    "Failure": "record",
    "Memory": "record",
    "Record": "record",
    "Target": "record",
    "Throughput": "record",
    "TrainMetrics": "record",
    "ValMetrics": "record",
    "View": "record",
    "Comparison": "comparison",
    "ComparisonRow": "comparison",
    "compare": "comparison",
    "Run": "store",
    "Stored": "store",
    "artefact": "store",
    "artefact_path": "store",
    "iterate": "store",
    "find": "store",
    "release_of": "store",
    "locate": "store",
    "read": "store",
    "read_manifest": "store",
    "read_run": "store",
    "sha256": "store",
    "publish": "release",
    "published": "release",
    "write": "store",
    "write_bytes": "store",
    "writing": "store",
    "classes": "table",
    "history": "table",
    "load": "table",
    "trials": "table",
    "write_tables": "table",
}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'results' has no attribute {name!r}")
    return getattr(import_module(f"results.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
