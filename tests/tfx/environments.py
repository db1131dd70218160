"""The interpreter that has TFX: that of the tests, or that of the environment which `make tfx` makes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "SEGBENCH_TFX_PYTHON"


def with_package(package="tfx"):
    """Return an interpreter that has a package of TFX's family; skip the test where there is none."""
    if importlib.util.find_spec(package):
        return sys.executable
    python = os.environ.get(VARIABLE) or str(ROOT / ".venv-tfx/bin/python")
    if not Path(python).exists():
        pytest.skip(f"no {package} here: `make tfx` makes .venv-tfx, or name an interpreter in {VARIABLE}")
    return python


def call(python, *arguments, project=ROOT, cwd, timeout=3600):
    """Run a command of a copy of the project: its exit status, and what it wrote on both outputs."""
    done = subprocess.run(
        [python, *map(str, arguments)], cwd=cwd, env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr
