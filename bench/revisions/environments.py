"""The environment in which a checkout runs: the present one, one that the user names, or one of its lock file."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core import ROOMS, UsageError, cache_folder
from bench.revisions.git import Failed, finish
from bench.revisions.worktrees import Checkout

HOME = Path(__file__).resolve().parents[2]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_READY = ".ready"


@dataclass(frozen=True)
class Runnable:
    """A checkout and the interpreter that runs it."""

    checkout: Checkout
    python: Path


def runnable(checkout: Checkout, python: Path | None = None) -> Runnable:
    """Return a checkout with its interpreter, its modules compiled.

    The present interpreter serves a checkout whose lock file names the same versions as that of this copy of the
    project. For another lock file an environment is made by the checkout's own `make venv`, once: it is kept in the
    folder of caches, under the digest of the versions.

    Args:
        checkout: of a revision.
        python: interpreter of a ready environment; None to choose or make one.

    Raises:
        UsageError: the interpreter does not run, or no environment can be made.
    """
    found = _given(python) if python else _fitting(checkout)
    # Else the first trial would compile the modules, and its start would take longer than that of the others.
    subprocess.run(
        [found, "-m", "compileall", "-q", *ROOMS],
        cwd=checkout.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return Runnable(checkout, found)


def _given(python: Path) -> Path:
    """Return an interpreter that the user names, or that of an environment's folder.

    Raises:
        UsageError: it does not run.
    """
    path = Path(os.path.abspath(python.expanduser()))  # no resolve(): the link in the environment is what counts
    path = path / "bin" / "python" if path.is_dir() else path
    try:
        subprocess.run([path, "-c", ""], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except OSError as error:
        raise UsageError(f"environment {python}: {path} does not run: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        raise UsageError(f"environment {python}: {path} does not run: exit status {error.returncode}") from None
    return path


def _fitting(checkout: Checkout) -> Path:
    """Return an interpreter with the packages of a checkout's lock file."""
    wanted = pins(checkout.folder)
    if not wanted or wanted == pins(HOME):  # a project without a lock file says nothing about its packages
        return Path(sys.executable)
    digest = hashlib.sha256(f"{sys.version} {sorted(wanted.items())}".encode()).hexdigest()[:16]
    try:
        folder = cache_folder() / "environments"
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / f"{digest}.lock", "w")  # noqa: SIM115  (closed at the end of the block below)
    except OSError as error:
        raise UsageError(f"environment of {checkout.revision.name}: no folder for it: {error}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be making it
        if not (folder / digest / _READY).exists():
            _make(checkout, folder / digest)
    return folder / digest / "bin" / "python"


def pins(folder: Path) -> Mapping[str, str]:
    """Return the versions in the lock file of a copy of the project for this interpreter; empty if it has none."""
    stack = "tf2.15" if sys.version_info < (3, 12) else "tf2.21"
    try:
        text = (folder / "locks" / f"{stack}-{'cuda' if _with_cuda() else 'cpu'}.txt").read_text()
    except OSError:
        return {}
    return dict(_PIN.findall(text))


def _with_cuda() -> bool:
    """Return whether the present environment has the CUDA libraries of the lock files that name them."""
    try:
        return bool(importlib.metadata.version("nvidia-cublas-cu12"))
    except importlib.metadata.PackageNotFoundError:
        return False


def _make(checkout: Checkout, folder: Path) -> None:
    """Make an environment by the checkout's own `make venv`. What a failure leaves is removed.

    Raises:
        UsageError: it cannot be made.
    """
    base = getattr(sys, "_base_executable", sys.executable)
    made = ["make", "venv", f"VENV={folder}", f"PYTHON={base}", f"CUDA={int(_with_cuda())}"]
    shutil.rmtree(folder, ignore_errors=True)
    print(f"Making the environment of {checkout.revision.name} in {folder}: minutes, and 3 GB", file=sys.stderr)
    try:
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        finish(made, variables, checkout.folder, stoppable=True)
        (folder / _READY).touch()
    except (Failed, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(
            f"the environment of {checkout.revision.name} cannot be made: {error}; make it by hand and name it"
        ) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
