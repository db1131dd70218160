"""Commands of this project in processes of their own, by the interpreter of the project's environment.

Ray and Beam do not share a process, and TFX 1.15 does not share an environment with the project.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.core import UsageError

_HOME = Path(__file__).resolve().parents[2]
_LEGACY = "TF_USE_LEGACY_KERAS"
"""`import tensorflow_transform` sets it for all processes that follow; the project trains with the Keras it locks."""
_WANTED = ("ray", "pydantic", "keras_cv")
"""Packages that the project's environment has and TFX's own has not."""


class Done(NamedTuple):
    """The end of a command: its exit status, and its standard output if that was asked for."""

    status: int
    output: str


def environment() -> dict[str, str]:
    """Return the environment of a command: this copy of the project is found first, and Keras is not replaced."""
    kept = {name: value for name, value in os.environ.items() if name != _LEGACY}
    places = [str(_HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(places)}


def interpreter(python: str) -> str:
    """Return the interpreter of the project's environment.

    Args:
        python: its path; empty for the one that runs this.

    Raises:
        UsageError: there is none, or it lacks packages of the project.
    """
    chosen = python or sys.executable
    code = f"import importlib.util as u, sys; sys.exit(', '.join(n for n in {_WANTED} if not u.find_spec(n)) or 0)"
    try:
        found = subprocess.run([chosen, "-c", code], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(f"python={chosen}: cannot be run ({error.strerror})") from None
    if found.returncode:
        raise UsageError(
            f"python={chosen}: it has no {found.stderr.strip() or 'packages of this project'}; name the interpreter of "
            "the project's own environment (.venv/bin/python, see `make venv`)"
        )
    return chosen


def run(python: str, module: str, arguments: Sequence[str], capture: bool = False) -> Done:
    """Run `python -m MODULE ARGUMENTS` and return how it ended. Its messages go where those of this process go.

    Args:
        python: the interpreter, see `interpreter`.
        module: with the command.
        arguments: of the command.
        capture: return the standard output in place of passing it on.
    """
    command = [python, "-m", module, *arguments]
    done = subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE if capture else None, text=True, check=False
    )
    return Done(done.returncode, done.stdout or "")
