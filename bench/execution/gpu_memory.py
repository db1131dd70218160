"""Wait until the memory of the GPUs of this process is free, by `nvidia-smi`, which asks NVML."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

WAIT_SECONDS = 60.0
"""Longest wait for memory of an earlier process, which the driver frees some time after that process ended."""
FREE = 0.9
"""Share of each GPU's memory that has to be free, 0..1."""


def await_memory(log: str, poll: float = 1.0) -> None:
    """Wait until the GPUs of CUDA_VISIBLE_DEVICES are free, for at most `WAIT_SECONDS`.

    GPUs that are not free by then are reported in the log. The trial may fit all the same; if not, its record says so.

    Args:
        log: path of the file to which the report is appended.
        poll: seconds between two looks.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while taken := _taken():
        if time.monotonic() > deadline:
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"After {WAIT_SECONDS:g} s another process still holds memory of GPU {', '.join(taken)}\n")
            return
        time.sleep(poll)


def _taken() -> list[str]:
    """Return the GPUs with too little free memory, as "id (used of total MiB)"; empty if that is unknown."""
    tool, mine = shutil.which("nvidia-smi"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if tool is None or not mine:
        return []
    query = [tool, f"--id={mine}", "--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(", ") for line in answer.splitlines()]
    numbers = [row for row in rows if len(row) == 3 and row[1].isdigit() and row[2].isdigit()]
    return [f"{gpu} ({used} of {total} MiB)" for gpu, used, total in numbers if int(used) > (1 - FREE) * int(total)]
