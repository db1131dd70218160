"""Metrics of the user's own, of the confusion matrix of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np


def with_own_metrics(rows: Iterable[Mapping[str, Any]], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of a record's `views` with the user's own metrics. One that raises is unknown there: None.

    Args:
        rows: with `confusion`, C lists of C counts, rows = truth.
        metrics: `package.module:function` each, of an int64 array (C, C).
    """
    functions = {name: _function(name) for name in metrics}
    if not functions:
        return [dict(row) for row in rows]
    return [{**row, "own": {name: _value(name, function, row) for name, function in functions.items()}} for row in rows]


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _value(name: str, function: Any, row: Mapping[str, Any]) -> float | None:
    try:
        return float(function(np.array(row["confusion"], np.int64)))
    except Exception as error:  # it must not cost a finished training
        print(f"{name} raises {type(error).__name__}: {error}", flush=True)
        return None
