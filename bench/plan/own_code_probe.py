"""The process that imports code of the user's own, so that the command itself does not import TensorFlow with it.

It reads {"folders": [...], "uses": [{"field", "name", "params"}]} from standard input, and writes the first fault, or
null, to standard output as JSON.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core import nearest, own_code, prepare_process

LABELS_AND_LOGITS = 2
"""Number of the first parameters of a function that is a loss, which are not the user's to set."""


def fault(field: str, name: str, params: Mapping[str, Any]) -> str | None:
    """Import what a field of a spec names, and return what is wrong with it in one line, or None.

    Args:
        field: dotted name of the field.
        name: `package.module:Class`.
        params: of its constructor, or of the function besides labels and logits.
    """
    module, attribute = own_code.reference(name)
    try:
        found = importlib.import_module(module)
    except BaseException as error:  # a module may even exit
        return f"{field}: {name}: importing {module} raises {_in_a_line(error)}{_beside(error, module)}"
    target = getattr(found, attribute, None)
    if target is None:
        known = [one for one in vars(found) if not one.startswith("_")]
        return f"{field}: module {module} has no {attribute!r}{nearest(attribute, known)}"
    if not callable(target):
        return f"{field}: {name} is not callable, but of type {type(target).__name__}"
    if field == "loss.name":
        return _fault_of_loss(f"{field}: {name}", target, params)
    checks = {"model.head": _fault_of_head, "eval.metrics": _fault_of_metric}
    return checks[field](f"{field}: {name}", target) if field in checks else None


def _fault_of_head(what: str, target: Any) -> str | None:
    try:
        made = target(2)
    except Exception as error:
        return f"{what} is called with the number of classes and raises {_in_a_line(error)}"
    return None if callable(made) else f"{what}: called with the number of classes, it gives nothing to call"


def _fault_of_metric(what: str, target: Any) -> str | None:
    import numpy as np

    try:
        float(target(np.array([[3, 1], [0, 2]])))
    except Exception as error:
        return f"{what} is called with a confusion matrix (C, C) and gives no number: {_in_a_line(error)}"
    return None


def _fault_of_loss(what: str, target: Any, params: Mapping[str, Any]) -> str | None:
    """Return the first parameter that a class or function does not have or does not take."""
    try:
        kinds = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # compiled code may not tell
        return None
    kinds = kinds if isinstance(target, type) else kinds[LABELS_AND_LOGITS:]
    known = {one.name: one for one in kinds if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    open_end = any(one.kind is one.VAR_KEYWORD for one in kinds)
    for key in params:
        if key not in known and not open_end:
            return f"{what} has no parameter {key!r}{nearest(key, known)}"
    needed = [key for key, one in known.items() if one.default is one.empty and key not in params]
    if needed:
        return f"{what} needs a parameter {needed[0]!r}; set loss.params.{needed[0]}"
    if not isinstance(target, type):
        return None
    try:
        made = target(**{key: value for key, value in params.items() if value not in _by_rule(key)})
    except Exception as error:
        return f"{what} refuses its parameters: {_in_a_line(error)}"
    return None if callable(made) else f"{what}: an object of the class is not callable"


def _by_rule(key: str) -> tuple[str, ...]:
    """Return the values of a parameter that stand for weights of classes, which only the data give."""
    from bench.spec import LossSpec

    return LossSpec.BY_NAME.get(key, ())


def _beside(error: BaseException, module: str) -> str:
    """Return what to do about a module of the working directory that is not found, because it is in no package."""
    missing = str(getattr(error, "name", None) or "").partition(".")[0] if isinstance(error, ImportError) else ""
    beside = [path for path in (Path(f"{missing}.py"), Path(missing)) if missing and path.exists()]
    top = module.partition(".")[0]
    return f"; move {beside[0]} into the package {top}, of which a run keeps a copy" if beside else ""


def _in_a_line(error: BaseException) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def main() -> None:
    """Answer one question on standard input."""
    prepare_process()  # as in a trial
    answer = os.dup(1)
    os.dup2(2, 1)  # what the user's code prints is no answer
    asked = json.load(sys.stdin)
    own_code.make_importable([use["name"] for use in asked["uses"]], [Path(folder) for folder in asked["folders"]])
    faults = (fault(use["field"], use["name"], use["params"]) for use in asked["uses"])
    found = next(filter(None, faults), None)
    os.write(answer, json.dumps(found).encode())
    os._exit(0)  # whatever threads the user's modules have started


if __name__ == "__main__":
    main()
