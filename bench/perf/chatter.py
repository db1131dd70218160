"""A job that sends events like those of a trial, and does nothing else; it imports nothing of this project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

EVENTS = 50


def chatter(payload: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> None:
    """Send `EVENTS` events."""
    for step in range(EVENTS):
        emit({"event": "step", "epoch": 1, "step": step, "loss": 1.0, "images_per_second": 100.0})
