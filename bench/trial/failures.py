"""From an exception to the status and the error of a record."""

from __future__ import annotations

import re
import traceback
from typing import Any


def failure(error: BaseException) -> dict[str, Any]:
    """Return the record's `status` and `error` for an exception.

    The status is "oom", "invalid" (a UsageError), "diverged" or "crashed".
    """
    # By name, because the modules of these classes import TensorFlow.
    known = {"UsageError": "invalid", "Diverged": "diverged"}
    name = type(error).__name__
    # With half its batch a trial whose view alone has no memory would have none for it either.
    status = "oom" if name != "FailedAlone" and _out_of_memory(error) else known.get(name, "crashed")
    return {
        "status": status,
        "error": {
            "kind": type(error).__name__,
            "message": error_line(error)[:500],
            "traceback": "".join(traceback.format_exception(error))[-20_000:],
            "epoch": getattr(error, "epoch", None),
            "step": getattr(error, "step", None),
            "detail": getattr(error, "detail", None),
        },
    }


def error_line(error: BaseException) -> str:
    """Return what went wrong, in one line.

    TensorFlow and Keras wrap an exception inside a graph in pages of text. The innermost exception is returned.
    """
    wrapper = "(?!Exception encountered)"
    inside = re.findall(rf"^ *(?:\S*}}}} )?(\w+(?:Error|Exception): {wrapper}.+)$", str(error), re.MULTILINE)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return inside[-1] if inside and len(lines) > 1 else lines[0]


def _out_of_memory(error: BaseException | None) -> bool:
    """Return whether an exception, or one of its causes, is a failed allocation on a device or on the host."""
    seen = set()
    while error is not None and id(error) not in seen:
        # Allocations of cuDNN and XLA fail with other types.
        if type(error).__name__ in ("ResourceExhaustedError", "MemoryError") or any(
            sign in str(error) for sign in ("CUDA_ERROR_OUT_OF_MEMORY", "RESOURCE_EXHAUSTED", "OOM when allocating")
        ):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
