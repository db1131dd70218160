"""The state of a trial's GPUs: clock, temperature, power limit, and other processes on them.

NVIDIA's driver brings the library that tells them (NVML, libnvidia-ml.so.1, documented in NVIDIA's "NVML API Reference
Guide"). Where there is none, or it does not answer, everything is unknown.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_SUCCESS, _MORE_ROOM = 0, 7  # NVML_SUCCESS, NVML_ERROR_INSUFFICIENT_SIZE
_CLOCK_SM, _TEMPERATURE_GPU = 1, 0  # NVML_CLOCK_SM, NVML_TEMPERATURE_GPU


class GpuWatch:
    """Reads the GPUs of this process.

    Args:
        gpus: their number. They are the first of `CUDA_VISIBLE_DEVICES`, or the first of the machine.
    """

    def __init__(self, gpus: int) -> None:
        self._gpus = gpus
        self._library = _opened() if gpus else None
        names = visible(gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
        self._handles = [] if self._library is None else _handles(self._library, names)

    def read(self) -> tuple[dict[str, Any], ...]:
        """Return the fields of a `results.GpuState` for each GPU; what is unknown is None."""
        if self._library is None or len(self._handles) < self._gpus:
            return ({},) * self._gpus
        return tuple(_state(self._library, handle) for handle in self._handles)

    def close(self) -> None:
        """Release the library."""
        if self._library is not None:
            self._library.nvmlShutdown()
            self._library = None


def visible(gpus: int, names: str | None) -> list[str]:
    """Return the index or identifier of each GPU of a trial.

    Args:
        gpus: their number.
        names: content of `CUDA_VISIBLE_DEVICES`; None if it is not set.
    """
    listed = [str(index) for index in range(gpus)] if names is None else names.split(",")
    return [name.strip() for name in listed[:gpus]]


def _opened() -> Any:
    """Return the library, ready for questions; None without one."""
    try:
        library = ctypes.CDLL(_LIBRARY)
        return library if library.nvmlInit_v2() == _SUCCESS else None
    except (OSError, AttributeError):
        return None


def _handles(library: Any, names: Sequence[str]) -> list[ctypes.c_void_p]:
    """Return the handles of GPUs by their indices or identifiers (GPU-...), without those that are not known."""
    found = []
    for name in names:
        handle = ctypes.c_void_p()
        if name.isdecimal():
            status = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(handle))
        else:
            status = library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
        if status == _SUCCESS:
            found.append(handle)
    return found


def _state(library: Any, handle: ctypes.c_void_p) -> dict[str, Any]:
    limit = _number(library.nvmlDeviceGetEnforcedPowerLimit, handle)
    # Asked with room for none, the library tells the number of processes. Their numbers are those of the host, which a
    # container cannot compare with its own. The trial itself is one of them; a list without any is a hidden one.
    processes = _number(library.nvmlDeviceGetComputeRunningProcesses, handle, after=(None,))
    return {
        "clock_mhz": _number(library.nvmlDeviceGetClockInfo, handle, ctypes.c_int(_CLOCK_SM)),
        "temperature_c": _number(library.nvmlDeviceGetTemperature, handle, ctypes.c_int(_TEMPERATURE_GPU)),
        "power_limit_w": None if limit is None else limit / 1000,
        "other_processes": processes - 1 if processes else None,
    }


def _number(question: Any, handle: ctypes.c_void_p, *options: Any, after: tuple[Any, ...] = ()) -> int | None:
    """Return the unsigned number that a question of NVML answers with, or None if this GPU has no answer."""
    value = ctypes.c_uint(0)
    status = question(handle, *options, ctypes.byref(value), *after)
    return value.value if status in (_SUCCESS, _MORE_ROOM) else None
