"""Run git and other tools, which Ctrl-C must not stop half way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core import UsageError

_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
"""Variables by which git would use another repository than that of the folder, as inside a hook."""
_OF_MAKE = re.compile(r"make(\[\d+\])?: (\*\*\* \[|Entering |Leaving )")
"""How lines of make begin that only say that a recipe failed, or where; the number is that of a make inside another."""


class Failed(Exception):
    """A tool ended with an error. The message is the last line that it printed."""


def git(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
    """Return what git prints in a folder.

    Args:
        folder: inside the repository.
        arguments: of git.
        variables: further environment variables.

    Raises:
        Failed: git ended with an error.
        UsageError: git is not installed.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _REPOSITORY}
    environment = {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(variables or {})}
    try:
        return finish(["git", "-C", str(folder), *arguments], environment)
    except FileNotFoundError:
        raise UsageError("git is not installed, and revisions are read by it") from None


def finish(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None, *, stoppable: bool = False
) -> str:
    """Run a command to its end, in a process group of its own, and return what it printed.

    Ctrl-C does not reach it. After it, this function waits for the command's end before it raises, because a git that
    is killed leaves locks behind.

    Args:
        command: program and arguments.
        environment: all its variables.
        folder: its working directory.
        stoppable: kill the command and its children at Ctrl-C instead of waiting for them.

    Raises:
        Failed: the command ended with an error.
        FileNotFoundError: there is no such command.
    """
    process = subprocess.Popen(
        command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate()
    except KeyboardInterrupt:
        if stoppable:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode:
        lines = [line.strip() for line in f"{output}\n{errors}".splitlines()]
        said = [line for line in lines if line and not _OF_MAKE.match(line)]
        raise Failed(said[-1] if said else f"exit status {process.returncode}")
    return output.strip()
