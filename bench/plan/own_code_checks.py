"""Checks of the user's own code before the first trial. A separate process imports it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.core import UsageError, own_code
from bench.spec import TrialSpec

HOME = Path(__file__).resolve().parents[2]
PROBE_SECONDS = 600.0
"""Longest time for the imports of the user's modules."""


def check_own_code(specs: Iterable[TrialSpec], kept: Path | None = None) -> None:
    """Import all that the specs name, each once, and refuse what is missing or does not take its parameters.

    Args:
        specs: of trials.
        kept: folder in which a run keeps the code that it was planned with; None before there is a run.

    Raises:
        UsageError: names the field, the module and its error; or code that is other than planned.
    """
    asked: dict[tuple[Path, ...], dict[str, dict[str, Any]]] = {}
    for spec in specs:
        folders = tuple(own_code.kept(spec.own_code.values(), kept)) if kept else ()
        for field, name, params in _uses(spec):
            _check_hash(name, spec.own_code[name], folders)
            use = {"field": field, "name": name, "params": params, "hash": spec.own_code[name]}
            asked.setdefault(folders, {})[json.dumps(use, sort_keys=True, default=str)] = use
    for folders, uses in asked.items():
        places = [str(folder) for folder in folders or (Path.cwd(),)]
        if fault := _first_fault(json.dumps({"folders": places, "uses": [*uses.values()]}, default=str)):
            raise UsageError(fault)


def _uses(spec: TrialSpec) -> list[tuple[str, str, dict[str, Any]]]:
    """Return field, name and parameters of each name that means code of the user's own."""
    named = [
        ("loss.name", spec.loss.name, dict(spec.loss.params)),
        ("model.backbone", spec.model.backbone, {}),
        ("model.head", spec.model.head, {}),
        *(("eval.metrics", name, {}) for name in spec.eval.metrics),
    ]
    return [use for use in named if own_code.is_own(use[1])]


def _check_hash(name: str, planned: str, folders: Sequence[Path]) -> None:
    try:
        here = own_code.source(name, folders).digest
    except ValueError as error:
        raise UsageError(str(error)) from None
    if here != planned:
        raise UsageError(f"{name}: its code has the hash {here}, planned was {planned}: start a new run")


@functools.cache  # a run checks its inputs twice
def _first_fault(question: str) -> str | None:
    """Return the first fault that the process finds which imports the code.

    Args:
        question: see `bench.plan.own_code_probe`.
    """
    path = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    names = ", ".join(use["name"] for use in json.loads(question)["uses"])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "bench.plan.own_code_probe"],
            input=question, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False,
            env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{names}: importing the code takes more than {PROBE_SECONDS:g} s"
    try:
        return json.loads(done.stdout)  # type: ignore[no-any-return]
    except json.JSONDecodeError:  # the process died
        lines = done.stderr.strip().splitlines()
        return f"{names}: importing the code ended its process{f': {lines[-1]}' if lines else ''}"
