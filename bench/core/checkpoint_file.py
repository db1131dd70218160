"""The checkpoint that a trial writes after its epochs: enough to resume the training as if it had never stopped.

It is one .npz file of plain arrays and JSON; nothing in it is unpickled. The trial writes it. The driver reads the
history in it when a worker was lost.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.trial_files import CHECKPOINT_FILE


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        state: plain data that JSON can hold.
        arrays: lists of arrays by the name of their group, such as "model" and "optimizer".
    """

    state: dict[str, Any]
    arrays: Mapping[str, Sequence[np.ndarray]]


class WritingPace:
    """Says whether the checkpoint of an epoch is written, so that a slow storage does not hold up a training.

    A checkpoint that took longer than `QUICK` seconds delays the next one until the training has gone on for
    1 / `SHARE` times as long. So many trials with one storage spend a twentieth of their time on it, or `QUICK` seconds
    per epoch. What a fault can cost grows to `1 / SHARE` times the time of a write. Times are seconds of one clock.
    """

    SHARE, QUICK = 0.05, 1.0

    def __init__(self) -> None:
        self._from = -math.inf

    def due(self, now: float) -> bool:
        """Return whether the checkpoint of an epoch that ends now is to be written."""
        return now >= self._from

    def wrote(self, began: float, ended: float) -> None:
        """Note that a checkpoint was written."""
        took = ended - began
        self._from = ended + took / self.SHARE if took > self.QUICK else -math.inf


def as_bytes(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the bytes of its .npz file."""
    flat = {f"{group}/{i}": array for group, arrays in checkpoint.arrays.items() for i, array in enumerate(arrays)}
    buffer = io.BytesIO()
    flat["state"] = np.frombuffer(json.dumps(checkpoint.state, default=float).encode(), np.uint8)
    np.savez(buffer, **flat)  # type: ignore[arg-type]
    return buffer.getvalue()


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the checkpoint in the folder of a trial, or None if there is none or it cannot be read."""
    try:
        with np.load(folder / CHECKPOINT_FILE, allow_pickle=False) as file:
            state = json.loads(file["state"].tobytes())
            arrays: dict[str, list[np.ndarray]] = {}
            for name in file.files:  # in the order of writing
                group, slash, _ = name.partition("/")
                if slash:
                    arrays.setdefault(group, []).append(file[name])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Checkpoint(state, arrays)


def remove_checkpoint(folder: Path) -> None:
    """Delete the checkpoint in the folder of a trial, if there is one."""
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
