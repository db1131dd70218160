"""Reports of runs, from records and their artefacts alone. No TensorFlow, no Ray; of the project, only `results`."""

from importlib import import_module
from typing import Any

_HOME = {"write": "writer", "summarize": "summary", "Summary": "summary"}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'reports' has no attribute {name!r}")
    return getattr(import_module(f"reports.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
