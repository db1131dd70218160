"""The report of a run that still goes on: written after every round of seeds, by a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO

SECONDS = 300.0
"""Longest time that a run waits for such a report. It is then given up."""
_NICE, _GRACE = 10, 5.0


class InterimReports:
    """Has the report written once all cells have ended at a seed, unless nothing is left to do.

    The report is made by `python -m bench.report`, so that no fault of it, be it out of memory, can end the run. A
    report that fails is one line.

    Args:
        run: folder of the run.
        seeds: {trial: its seed} of the trials to run.
        wait: whether to wait for the process. Trials that have the machine to themselves are timed, so the report may
            not run beside one. Otherwise it runs beside them at a low priority.
        note: prints a line.
    """

    def __init__(self, run: Path, seeds: Mapping[str, int], wait: bool, note: Callable[[str], None]) -> None:
        self._run, self._wait, self._note = run, wait, note
        self._left: dict[int, set[str]] = {}
        for trial, seed in seeds.items():
            self._left.setdefault(seed, set()).add(trial)
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def ended(self, trial: str) -> None:
        """Note that a trial has ended; have the report written if that ends a round and others are left."""
        self.poll()
        rounds = [seed for seed, left in self._left.items() if trial in left]
        for seed in rounds:
            self._left[seed].discard(trial)
        earlier = any(left for seed, left in self._left.items() if rounds and seed <= rounds[0])
        if rounds and not earlier and any(self._left.values()) and self._process is None:
            self._begin()

    def leave_out(self, trials: Collection[str]) -> None:
        """Wait no longer for trials that will not be run."""
        for left in self._left.values():
            left.difference_update(trials)

    def poll(self) -> None:
        """Tell of a report that was written meanwhile."""
        if self._process is not None and self._process.poll() is not None:
            self._tell()

    def close(self, seconds: float | None = None) -> None:
        """Wait for a report that is being written, so that nothing writes beside the last one.

        Args:
            seconds: longest time; None for `SECONDS`.
        """
        if self._process is not None:
            self._await(seconds or SECONDS)

    def _begin(self) -> None:
        command = [sys.executable, "-P", "-m", "bench.report", str(self._run)]
        try:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed by _end)
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said, start_new_session=True
            )
        except OSError as error:
            self._note(f"No report yet: {error.strerror}")
            self._end()
            return
        if self._wait:
            self._await(SECONDS)
        else:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)

    def _await(self, seconds: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(seconds)
            self._tell()
        except subprocess.TimeoutExpired:
            self._note(f"No report yet: it took longer than {seconds:g} s")
        finally:
            self._end()

    def _tell(self) -> None:
        """Print where the report lies, or why there is none."""
        assert self._process is not None
        assert self._said is not None
        if self._process.returncode == 0:
            done = [seed for seed, left in self._left.items() if not left]
            self._note(f"Report after {len(done)} of {len(self._left)} rounds: {self._run / 'report' / 'report.html'}")
        else:
            self._said.seek(0)
            lines = self._said.read().decode(errors="replace").strip().splitlines()
            self._note(f"No report yet: {lines[-1][:300] if lines else f'status {self._process.returncode}'}")
        self._end()

    def _end(self) -> None:
        """End the process if it still runs."""
        process, said, self._process, self._said = self._process, self._said, None, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # it then removes the file that it was writing
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if said is not None:
            said.close()
