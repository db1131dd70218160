"""Ray's job server: send a run with the code that it needs, follow its output, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core import (
    COMMIT_VARIABLE,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    ROOMS,
    UsageError,
    describe,
    own_code,
)
from bench.storage import PUBLIC_VARIABLES

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

    from bench.jobs.command_line import Job

HOME = Path(__file__).resolve().parents[2]
GRACE_SECONDS = 300
"""Seconds that a stopped run has for the records of what ran. Ray's own choice, 3, is too short for them."""
PAUSE_SECONDS = 2.0
"""Seconds before a lost connection is tried again."""
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging",
)  # fmt: skip
"""Loggers of Ray's client that report each package and the end of each connection."""
TRIES = 30
"""Of a lost connection, one after another."""


class JobServer:
    """The job server of one cluster.

    Args:
        head: URL of the dashboard of the cluster's head, http://HOST:8265.

    Raises:
        UsageError: Ray's job client is not installed, nobody answers, or the token is refused.
    """

    def __init__(self, head: str) -> None:
        self._head = head
        self._client = _connected(head)

    def send(self, job: Job) -> str:
        """Send the code and start the job, and return its id.

        Raises:
            UsageError: the server refuses it.
        """
        name = f"{job.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        variables = {
            "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",  # the run sends the code on to its workers, as it does elsewhere
            "RAY_JOB_STOP_WAIT_TIME_S": str(GRACE_SECONDS),
        }
        variables |= {name: value for name, value in os.environ.items() if name in PUBLIC_VARIABLES}  # no secrets
        if commit := describe()["git_commit"]:  # because what is sent is no git checkout
            variables[COMMIT_VARIABLE] = commit
        with _packed(job) as folder, _one_line(f"--head {self._head}"):
            return self._client.submit_job(
                entrypoint=job.entrypoint(),
                submission_id=name,
                metadata={"job_name": job.name, "summary": job.summary},  # what the dashboard shows
                runtime_env={"working_dir": str(folder), "env_vars": variables},
            )

    def follow(self, name: str, write: Callable[[str], Any]) -> int:
        """Write the output of a job from its start until it ends, and return its exit status.

        A connection that is lost is made again, and goes on where it was.

        Args:
            name: id of the job.
            write: takes pieces of the output.

        Raises:
            UsageError: there is no such job, or the server is gone for a minute.
        """
        written, tries = 0, 0
        while True:
            with contextlib.suppress(Exception):  # whatever it was: the job's state says whether it matters
                written = asyncio.run(self._tail(name, write, written))
                tries = 0
            try:
                info = self._client.get_job_info(name)
            except Exception as error:
                tries += 1
                if tries == TRIES or "does not exist" in str(error):
                    raise UsageError(f"job {name}: {_first_line(error)}") from None
            else:
                if info.status.is_terminal():
                    return _exit_status(info)
            time.sleep(PAUSE_SECONDS)

    async def _tail(self, name: str, write: Callable[[str], Any], skip: int) -> int:
        """Write what comes after `skip` characters, until the connection or the job ends; return all that was read."""
        read = 0
        async for piece in self._client.tail_job_logs(name):
            fresh = piece[max(0, skip - read) :]
            read += len(piece)
            if fresh:
                write(fresh)
        return max(read, skip)

    def stop(self, name: str) -> str:
        """Ask a job to end, wait until it has, and return its state in one word.

        Raises:
            UsageError: there is no such job.
        """
        with _one_line(f"--stop {name}"):
            self._client.stop_job(name)
            while not (status := self._client.get_job_status(name)).is_terminal():
                time.sleep(PAUSE_SECONDS)
        return status.value.lower()


def _connected(head: str) -> JobSubmissionClient:
    # Either variable would win over the address that was asked for.
    for variable in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        os.environ.pop(variable, None)
    try:
        import aiohttp  # noqa: F401 - Ray's client says that it is missing when it is used, not before
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise UsageError(f"jobs need Ray's job client: pip install -e '.[cluster]' (no {error.name})") from None
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return JobSubmissionClient(head)
    except ConnectionError:
        raise UsageError(
            f"--head {head}: no job server answers there; on the head: ray start --head (with .[cluster]), "
            "from elsewhere: ssh -L 8265:localhost:8265 HEAD, then --head http://localhost:8265"
        ) from None
    except Exception as error:
        token = "uthenti" in str(error) and "; the token of the cluster is in ~/.ray/auth_token on its head"
        raise UsageError(f"--head {head}: {_first_line(error)}{token or ''}") from None


@contextlib.contextmanager
def _one_line(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise UsageError(f"{where}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    """Return the line of a message that says what happened: the last one, if the server answers with a traceback."""
    text = re.sub(r"^Request failed with status code \d+: ", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if "Traceback" in text else lines[0])[:300] if lines else type(error).__name__


def _exit_status(info: Any) -> int:
    if info.status.value == "STOPPED":
        return EXIT_INTERRUPTED
    if info.status.value == "SUCCEEDED":
        return EXIT_OK
    return info.driver_exit_code or EXIT_INCOMPLETE


@contextlib.contextmanager
def _packed(job: Job) -> Iterator[Path]:
    """Yield a folder with this copy of the project and what the command names: the job's working directory."""
    with tempfile.TemporaryDirectory(prefix="job-") as made:
        folder = Path(made)
        left_out = ["__pycache__", *([] if job.releases else ["releases"])]
        for room in ROOMS:
            shutil.copytree(HOME / room, folder / room, ignore=shutil.ignore_patterns(*left_out))
        for there, path in job.files.items():
            (folder / there).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, folder / there)
        for name in job.own:
            source = own_code.source(name)
            for path in source.files:
                assert source.folder is not None
                copy = folder / path.relative_to(source.folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
        yield folder
