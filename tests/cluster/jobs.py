"""Functions that scheduled workers of the tests call."""

import os
import signal
import time
from pathlib import Path

import psutil


def nothing(payload, emit):
    pass


def visible(payload, emit):
    gpus, priority = os.environ.get("CUDA_VISIBLE_DEVICES", ""), os.getpriority(os.PRIO_PROCESS, 0)
    emit({"event": "step", "epoch": 1, "gpus": gpus, "pid": os.getpid(), "priority": priority})
    print("printed by the worker")


def die(payload, emit):
    if payload.get("die"):
        os.kill(os.getpid(), payload["die"])
    if payload.get("raise"):
        raise RuntimeError("raised in the worker")


def wait_at_first(payload, emit):
    """Hang in the first attempt, return in the next."""
    mark = Path(payload["mark"])
    emit({"event": "step", "epoch": 1, "attempt": 2 if mark.exists() else 1})
    if not mark.exists():
        mark.touch()
        time.sleep(600)


def told_to_end_at_first(payload, emit):
    """As on a machine that is taken away: Ray's worker is told, too. In the third attempt return."""
    mark = Path(payload["mark"])
    done = len(mark.read_text()) if mark.exists() else 0
    emit({"event": "step", "epoch": 1, "attempt": done + 1})
    mark.write_text("x" * (done + 1))
    if done < 2:
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)


def holds_gpus(payload, emit):
    node = psutil.Process().parents()[1].pid  # the raylet, which starts the worker that starts this process
    since = time.time()
    emit({"event": "step", "node": node})
    time.sleep(1)
    gpus = os.environ["CUDA_VISIBLE_DEVICES"]
    emit({"event": "step", "gpus": gpus, "node": node, "since": since, "until": time.time()})


def where():
    import bench

    return bench.__file__


def answer():
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def fail():
    raise RuntimeError("raised on the node")
