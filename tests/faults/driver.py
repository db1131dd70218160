"""The real command, with trials that train nothing or a thin model, for the tests of this folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

import results
from tests.faults.forked import Forked

PATIENCE = 600
"""Seconds after which a driver counts as stuck. Nothing is said about its speed: a loaded machine takes minutes."""
HERE = Path(__file__).resolve().parent
LOSSES = ("cross_entropy", "dice", "focal")
# So few images that no process of its own measures the model to estimate the time of the run.
SHORT = ("--set", "train.epochs=1")


class Driver:
    """`bench.run` in a process group of its own, as a terminal would start it.

    Its trials are those of a module beside this one: "fault_trials", which `faults` steers, or "thin_run". It is forked
    from a process with its imports, but for one that is to import them itself, or with a prefix.
    """

    def __init__(self, cwd, *arguments, faults=None, prefix=(), module="fault_trials", imports=False):
        if faults is not None:
            (cwd / "faults.json").write_text(json.dumps(faults))
        environment = {
            **os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{HERE}", "FAULTS": str(cwd / "faults.json"),
            "TF_USE_LEGACY_KERAS": "1",  # as users of TensorFlow Extended have it: no run may heed it
        }  # fmt: skip
        self.run = cwd / "runs" / "r"
        words = [*map(str, arguments)]
        if not (prefix or imports):
            self.process = Forked(module, words, cwd, environment, cwd / f"output-{time.monotonic_ns()}.txt")
        else:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", module, *words],
                cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                start_new_session=True,
            )  # fmt: skip

    def wait_for(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline, "timed out"
            time.sleep(0.05)
        return found

    def end(self):
        try:
            return self.process.wait(PATIENCE), self.process.stdout.read()
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def statuses(self):
        found = {}
        for path in self.run.glob("trials/*/record.json"):
            record = results.read(path)
            found[record.label] = record.status
        return found


def grid(*arguments, losses=LOSSES):
    return (
        "--grid", "losses", "--only", f"loss={','.join(losses)}", "--seeds", 1, "--gpus-per-trial", 0, "--name", "r",
        *SHORT, *arguments,
    )  # fmt: skip


def gone(processes):
    """Workers and trials end with the driver; Ray's agents, which hold nothing, look for it for a minute more."""
    deadline = time.monotonic() + 30
    while alive := [p for p in processes if _runs(p)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def _runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE and not process.name().endswith("Agent")
    except psutil.NoSuchProcess:
        return False


def listens_on(process):
    try:
        connections = process.net_connections()
    except psutil.NoSuchProcess:
        return []
    return [c.laddr.ip.removeprefix("::ffff:") for c in connections if c.status == psutil.CONN_LISTEN]
