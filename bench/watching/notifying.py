"""Tells a URL how a run has ended: one JSON object on one line, by HTTP POST."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.core import UsageError
from bench.watching.reading import RunStatus, look
from bench.watching.words import plain

SECONDS = 10.0
"""Longest wait for an answer."""


def notifier(url: str, warn: Callable[[str], None]) -> Callable[[Path], None]:
    """Return a function that posts how the run in a folder has ended. It raises nothing.

    Args:
        url: see `check_url`.
        warn: called with one line if the news could not be made or were not taken.

    Raises:
        UsageError: the URL cannot be posted to.
    """
    check_url(url)
    began = time.monotonic()

    def ended(run: Path) -> None:
        try:
            trouble = post(url, news(look(run), time.monotonic() - began))
        except Exception as error:  # whatever it is, no run fails by it
            trouble = f"{type(error).__name__}: {error}"
        if trouble:
            warn(f"--notify: {trouble}")

    return ended


def news(status: RunStatus, seconds: float) -> dict[str, Any]:
    """Return what is told of a run that has ended, as JSON can hold it.

    Args:
        status: of the run. If its manifest does not say how it ended, it is called crashed.
        seconds: of this session.
    """
    told = plain(status)
    return {
        "run": told["run"], "folder": told["folder"],
        "status": "crashed" if status.state == "preparing" else status.state, "trials": status.planned,
        "done": status.done, "failed": len(status.failed), "not_done": status.left, "seconds": round(seconds, 1),
        "best": next(iter(told["best"]), None),
    }  # fmt: skip


def check_url(url: str) -> None:
    """Refuse a URL that cannot be posted to. Whether anything answers there is not tried.

    Raises:
        UsageError: names what is wrong, without the URL's path and query, which may hold a secret.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named:
        raise UsageError("--notify: expected http://HOST/PATH or https://HOST/PATH")


def post(url: str, news: Mapping[str, Any]) -> str | None:
    """Post one line of JSON.

    Args:
        url: see `check_url`.
        news: plain data.

    Returns:
        Why it was not taken, in one line without the URL's path and query; None if it was.
    """
    body = json.dumps(dict(news), ensure_ascii=False).encode() + b"\n"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return None
    except urllib.error.HTTPError as error:
        reason = f"status {error.code}"
    except Exception as error:  # whatever it is, no run fails by it
        cause = getattr(error, "reason", error)
        reason = str(getattr(cause, "strerror", None) or cause or type(error).__name__).splitlines()[0]
    return f"{urllib.parse.urlsplit(url).hostname} refused the message that this run has ended: {reason}"
