"""What goes on beside a trial on its machine, read at the edges of its timed windows. Imports no TensorFlow."""

from __future__ import annotations

import os
import resource
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.core import usable_cores
from bench.trial.gpu_watch import GpuWatch
from bench.trial.hand_over import HandOver

STAT = Path("/proc/stat")
"""Seconds of every core since the start of the machine. In a container it may count the whole machine."""
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_THREADS = Path("/proc/self/task")
_TICKS = os.sysconf("SC_CLK_TCK")

BEAT = 0.1
"""Seconds between two beats of the thread that notices when the process stands still."""
STOOD_STILL = 1.0
"""Seconds from which a missing beat means that the whole process stood still.

A thread that waits for a busy core or for Python's lock gets its turn within a tenth of that.
"""
_IDLE = 0.1
"""CPU seconds per second below which a process without a beat stood still; above, some thread of it was at work."""


@dataclass(frozen=True)
class Sample:
    """The machine at one moment. CPU seconds are totals whose differences count. None is unknown.

    Attributes:
        wall: seconds of the clock `time.perf_counter`.
        own: CPU seconds of this process and of all its children.
        busy: CPU seconds of all processes on the cores that the trial may use, without interrupts, which its own
            reading of files causes, too.
        steal: seconds that the hypervisor gave to other machines, on the same cores.
        throttled: seconds that a CPU quota withheld, summed over cores.
        cores: number of cores that the trial may use now.
        free: number of further cores on which others do not disturb it, because it has fewer threads than cores.
        stood_still: seconds in which the whole process stood still.
        gpus: the trial's GPUs, fields of `results.GpuState`.
        hand_over_ns: nanoseconds in which two cores hand a value to each other and back.
    """

    wall: float
    own: float
    busy: float | None
    steal: float | None
    throttled: float | None
    cores: int
    free: int
    stood_still: float
    gpus: tuple[dict[str, Any], ...] = ()
    hand_over_ns: float | None = None


class MachineWatch:
    """Watches the machine while its block is entered; `sample` reads it.

    Args:
        gpus: number of GPUs of the trial.
        hand_over: whether the hand-over between its cores is measured.
    """

    def __init__(self, gpus: int = 0, hand_over: bool = False) -> None:
        self._affinity = affinity()
        self._gpus = GpuWatch(gpus)
        self._hand_over = HandOver() if hand_over else None
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._stood_still = 0.0
        self._last = time.perf_counter(), time.process_time()
        self._thread = threading.Thread(target=self._run, name="machine-watch", daemon=True)

    def __enter__(self) -> MachineWatch:
        self._thread.start()
        if self._hand_over:
            self._hand_over.measure()  # starts its peer before anything is timed
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()
        self._gpus.close()
        if self._hand_over:
            self._hand_over.close()

    def _run(self) -> None:
        while not self._end.wait(BEAT):
            self._beat()

    def _beat(self) -> float:
        """Note that this process runs; return the seconds so far in which it stood still."""
        with self._lock:
            wall, own = time.perf_counter(), time.process_time()
            gap, worked = wall - self._last[0], own - self._last[1]
            if gap > STOOD_STILL and worked < _IDLE * gap:
                self._stood_still += gap
            self._last = wall, own
            return self._stood_still

    def sample(self) -> Sample:
        """Read the machine, in about a millisecond unless the trial has children; the hand-over in as much again."""
        wall = time.perf_counter()  # first: the reading itself belongs to the next window
        hand_over = self._hand_over.measure() if self._hand_over else None
        peer = self._hand_over.peer if self._hand_over else None
        busy, steal = core_seconds(self._affinity)
        cores = usable_cores()
        return Sample(
            wall=wall,
            own=own_seconds(but=peer),
            busy=busy,
            steal=steal,
            throttled=throttled_seconds(),
            cores=cores,
            free=max(0, len(self._affinity) - cores),
            stood_still=self._beat(),
            gpus=self._gpus.read(),
            hand_over_ns=hand_over,
        )


def affinity() -> frozenset[int]:
    """Return the numbers of the cores that the scheduler gives this process."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def own_seconds(but: int | None = None) -> float:
    """Return the CPU seconds of this process, of its children that ended, and of its descendants that live.

    Args:
        but: process id of a child that hardly works, and is left out.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for child in _descendants(but):
        try:
            total += sum(child.cpu_times()[:4])  # user, system, and both of its own children that ended
        except psutil.Error:
            continue  # it ended meanwhile
    return total


def _descendants(but: int | None) -> list[psutil.Process]:
    """Return the living descendants of this process, without those of the child `but` if it is the only one.

    A trial hardly ever has any, and psutil looks for them among all processes of the machine. So the kernel is asked
    first whether there are children, where it can tell (Linux with CONFIG_PROC_CHILDREN).
    """
    try:
        children = {int(pid) for task in _THREADS.iterdir() for pid in (task / "children").read_bytes().split()}
        if not children - {but}:
            return []
    except OSError:
        pass  # a thread that ended meanwhile, or a kernel that does not tell
    try:
        return psutil.Process().children(recursive=True)
    except (psutil.Error, OSError):
        return []  # a system that hides processes


def core_seconds(cores: frozenset[int], stat: Path = STAT) -> tuple[float | None, float | None]:
    """Return the busy and the stolen CPU seconds of these cores since the machine started; None if unknown.

    Args:
        cores: numbers of the cores.
        stat: a file as /proc/stat (man 5 proc_stat).
    """
    wanted = {f"cpu{number}" for number in cores}
    try:
        rows = [row.split() for row in stat.read_text().splitlines() if row.startswith("cpu")]
        values = [[int(value) for value in row[1:]] for row in rows if row[0] in wanted]
    except (OSError, ValueError):
        return None, None
    if len(values) < len(wanted) or any(len(row) < 8 for row in values):
        return None, None
    busy = sum(sum(row[:3]) for row in values)  # user (guests included), nice, system
    return busy / _TICKS, sum(row[7] for row in values) / _TICKS


def throttled_seconds(root: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> float | None:
    """Return the seconds for which the CPU quota of this process's control group held it back; None without one.

    Args:
        root: where control groups are mounted, of version 2 or 1.
        own: a file as /proc/self/cgroup, which names the group of this process.
    """
    try:
        paths = [line.split(":", 2)[2].strip("/") for line in own.read_text().splitlines()]
    except (OSError, IndexError):
        paths = []
    for folder in (root, root / "cpu", root / "cpu,cpuacct"):
        for path in [*dict.fromkeys(filter(None, paths)), ""]:  # in a container its own group may be the root
            try:
                words = (folder / path / "cpu.stat").read_text().split()
            except OSError:
                continue
            found = dict(zip(words[::2], words[1::2], strict=False))
            if "throttled_usec" in found:
                return int(found["throttled_usec"]) / 1e6
            if "throttled_time" in found:
                return int(found["throttled_time"]) / 1e9
    return None
