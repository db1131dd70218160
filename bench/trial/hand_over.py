"""How long two cores take to hand each other a value.

On a virtual machine this time has two levels, probably because the host moves its cores: onto ones that share a level-3
cache, or onto ones that do not. In small steps, whose threads wait for each other often, this changes the speed of a
training by a fifth. No counter of the machine shows it, and computation that hardly hands anything over, as the
reference of a trial, keeps its speed (docs/results.md). Imports no TensorFlow.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.trial import hand_over_peer as peer

MOST_PAIRS = 7
"""Pairs of cores that are measured: the first core with as many others."""
BLOCKS, ROUNDS = 8, 25
"""The least mean of some blocks of rounds is taken: whatever else happens only adds time."""
MOST_FAILURES = 5
"""Measurements in a row without a time after which no more is tried: this system may not bind threads to cores."""
PATIENCE = 0.02
"""Seconds for a pair; if it takes longer, other work held a core, and the time is not known."""


class HandOver:
    """Measures the hand-over between the cores of this process. Its peer is a process that sleeps in between.

    The first measurement starts the peer, in about 20 ms; the others take less than a millisecond per pair.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asks = -1
        self._shared: mmap.mmap | None = None
        self._asked = 0
        self._failures = 0

    @property
    def peer(self) -> int | None:
        """Return the process id of the peer; None if there is none."""
        return self._process.pid if self._process else None

    def measure(self) -> float | None:
        """Return the mean over pairs of cores, in nanoseconds per round trip of a byte; None if it is not known.

        It is not known for one core, on systems that bind no thread to a core, and beside work that leaves no core to
        the peer. After several failures in a row it stays unknown.
        """
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        others = cores[1 : 1 + MOST_PAIRS]
        if not others or self._failures >= MOST_FAILURES:
            return None
        try:
            if self._process is None or self._process.poll() is not None:
                self._start(others[0])
            os.sched_setaffinity(0, cores[:1])  # of this thread alone
            try:
                times = [self._pair(core) for core in others]
            finally:
                os.sched_setaffinity(0, cores)
        except OSError:  # no process to be had, no permission, or the peer has ended
            times = [None]
        known = [one for one in times if one is not None]
        if len(known) < len(times):
            self._failures += 1
            self.close()  # a peer that lags behind is not asked again
            return None
        self._failures = 0
        return 1e9 * sum(known) / len(known)

    def close(self) -> None:
        """End the peer."""
        if self._process is None:
            return
        os.close(self._asks)  # at the end of its input it ends
        self._process.kill()
        self._process.wait()
        self._process = None
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def _start(self, core: int) -> None:
        self.close()
        file = os.memfd_create("hand-over")
        try:
            os.ftruncate(file, mmap.PAGESIZE)
            self._shared = mmap.mmap(file, mmap.PAGESIZE)
            asked, self._asks = os.pipe()
            try:
                # -I and -S: it needs two modules, and starts in a few milliseconds without the others.
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(Path(peer.__file__)), str(file), str(asked)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    pass_fds=(file, asked),
                )  # fmt: skip
            except OSError:
                os.close(self._asks)
                raise
            finally:
                os.close(asked)
        finally:
            os.close(file)
        self._pair(core, patience=2.0)  # until it has started

    def _pair(self, core: int, patience: float = PATIENCE) -> float | None:
        """Return the seconds per round trip between the core of this thread and another one; None if it took long."""
        shared = self._shared
        assert shared is not None
        self._asked = self._asked % peer.LARGEST + 1
        os.write(self._asks, peer.question(self._asked, core, BLOCKS * ROUNDS))
        until = time.perf_counter() + patience
        while shared[peer.READY] != self._asked:
            if time.perf_counter() > until:
                return None
            time.sleep(0)
        found = []
        for block in range(BLOCKS):
            began = time.perf_counter()
            for value in range(block * ROUNDS, (block + 1) * ROUNDS):
                told = value % peer.LARGEST + 1
                shared[peer.PING] = told
                for _ in range(peer.SPINS):
                    if shared[peer.PONG] == told:
                        break
                else:
                    return None
            found.append((time.perf_counter() - began) / ROUNDS)
            if time.perf_counter() > until:
                return None
        return min(found)
