"""The file that says where a run stands while it goes on: written by its command, read by whoever watches.

It lies in the run's folder, or in that of the run's search, from the first trial to the last. It is replaced as a whole
every few seconds, so its age tells whether the command still runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PROGRESS_FILE = "progress.json"


@dataclass(frozen=True)
class Underway:
    """A trial under way.

    Attributes:
        since: when the attempt began, UTC, ISO 8601.
        attempt: number of times that the trial has begun in this session, from 1 on.
        host: name of the machine; None until its worker has told.
        epoch: epoch of the newest event, from 1 on; 0 before the first.
        epochs: epochs of the whole training.
        loss: newest training loss.
        miou: newest validation mIoU, a fraction.
        images_per_second: of the newest window of steps.
    """

    since: str
    attempt: int = 1
    host: str | None = None
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    miou: float | None = None
    images_per_second: float | None = None


@dataclass(frozen=True)
class RunProgress:
    """Where a run stands.

    Attributes:
        host: name of the machine on which its command runs.
        pid: process id of the command there.
        written: when this was written, UTC, ISO 8601.
        running: the trials under way, by name.
        waiting: names of the trials that have not begun, in their order.
        left: least, typical and most seconds to the end; None if nothing tells them yet.
        told_by: number of complete trials that tell them.
        held: why no trial is started on a host, by its name, such as that it cannot write the folder of the run.
    """

    host: str
    pid: int
    written: str
    running: Mapping[str, Underway] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    left: tuple[float, float, float] | None = None
    told_by: int = 0
    held: Mapping[str, str] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        """Return it as the bytes of its file."""
        return json.dumps(asdict(self), indent=1).encode()


def read_progress(folder: Path) -> RunProgress | None:
    """Return where the run in a folder stands, or None if it does not go on or the file cannot be read."""
    try:
        found: dict[str, Any] = json.loads((folder / PROGRESS_FILE).read_bytes())
        running = {name: Underway(**one) for name, one in found.pop("running").items()}
        left, waiting = found.pop("left"), tuple(found.pop("waiting"))
        return RunProgress(**found, running=running, waiting=waiting, left=left and tuple(left))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
