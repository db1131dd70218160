"""The GPUs that a process was given, by the driver's own tool (which asks NVML): waiting until their memory is free."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

WAIT_SECONDS = 60.0
"""How long memory of an earlier process is waited for; the driver frees it some time after the process is gone."""
FREE = 0.9
"""Share of the memory of each GPU that has to be free."""


def await_memory(log: str, poll: float = 1.0) -> None:
    """Wait until the GPUs of CUDA_VISIBLE_DEVICES are free, for at most `WAIT_SECONDS`.

    What is still taken then is said in `log`. The trial may fit beside it; if not, its record says so.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while taken := _taken():
        if time.monotonic() > deadline:
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"After {WAIT_SECONDS:g} s another process still holds memory of GPU {', '.join(taken)}\n")
            return
        time.sleep(poll)


def _taken() -> list[str]:
    """The GPUs with too little free memory, as "id (used of total MiB)"; empty where that is unknown."""
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
