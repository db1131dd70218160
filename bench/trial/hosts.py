"""The hosts that train one trial together: who they are, and what they tell each other outside of a step.

All hosts run the same program with the same data, seeds and decisions, as `tf.distribute.MultiWorkerMirroredStrategy`
requires. The first alone writes into the trial's folder. TF_CONFIG says who the hosts are, in TensorFlow's own format:
{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench.core import HostLost, UsageError
from bench.spec import Placement, check_hosts
from bench.trial.failures import error_line
from bench.trial.meeting import Told, meet

T = TypeVar("T")
VARIABLE = "TF_CONFIG"
_GROUP = 1_000_003
"""Of collective operations between processors of hosts; far from the numbers that TensorFlow counts up from 1."""


ALONE_SECONDS = 120.0
"""Longest wait of a host on which something failed for the others: they fail too by then, or wait for it."""


class FailedAlone(Exception):
    """Something failed on this host and not on the others. The message is one line."""


class Hosts:
    """The hosts of a trial, seen from one of them.

    Attributes:
        count: number of hosts.
        index: of this one, from 0.
        workers: HOST:PORT of all.
    """

    def __init__(self, count: int = 1, index: int = 0, workers: Sequence[str] = ()) -> None:
        self.count, self.index, self.workers = count, index, tuple(workers)
        self._told = 0
        self._met = not workers

    @property
    def first(self) -> bool:
        """Whether this host writes what the trial leaves."""
        return self.index == 0

    @contextmanager
    def folder(self, shared: Path) -> Iterator[Path]:
        """Make a context with the folder into which this host writes: the trial's, or one that is thrown away."""
        if self.first:
            yield shared
            return
        with tempfile.TemporaryDirectory(prefix="host-") as own:
            yield Path(own)

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Make a context in which the hosts `meet`. What fails before is told to the others, which then end at once."""
        try:
            yield
        except Exception as error:
            if not self._met:
                with suppress(HostLost, OSError):
                    self._meet(error_line(error))
            raise

    def meet(self) -> None:
        """Wait until all hosts are ready to be connected by TensorFlow. Every host has to call it.

        Raises:
            HostLost: a host does not come.
            RuntimeError: something failed on another host; it names that one.
        """
        if not self._met:
            _check(self._meet(""))

    def _meet(self, fault: str) -> list[Told]:
        self._met = True
        return meet(self.workers, self.index, (platform.node(), fault))

    def exchange(self, mine: Any, seconds: float = 0) -> list[Any]:
        """Return what every host tells, plain data, in the order of the hosts. Every host has to call it.

        Args:
            mine: what this host tells.
            seconds: longest wait for the others; 0 for no limit. After it nothing can be exchanged any more.
        """
        return [json.loads(told) for told in self._exchanged(json.dumps(mine).encode(), seconds)]

    def exchange_arrays(self, mine: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Return the arrays of every host by name, in the order of the hosts. Every host has to call it."""
        if self.count == 1:
            return [dict(mine)]
        packed = io.BytesIO()
        np.savez(packed, **mine)
        found = []
        for told in self._exchanged(packed.getvalue()):
            with np.load(io.BytesIO(told), allow_pickle=False) as arrays:
                found.append({name: arrays[name] for name in arrays.files})
        return found

    def names(self) -> list[str]:
        """Return the names of all hosts, in their order. Every host has to call it."""
        return [str(name) for name in self.exchange(platform.node())]

    def agree(self, mine: Any, what: str) -> None:
        """Check that all hosts have the same plain data. Every host has to call it.

        Raises:
            RuntimeError: they have not; it names what differs.
        """
        found = self.exchange(mine)
        if any(one != found[0] for one in found):
            raise RuntimeError(f"the hosts of this trial differ in {what}: {', '.join(map(str, found))}")

    def all_or_none(self, make: Callable[[], T]) -> T:
        """Return what `make` returns here, if it fails on no host. Every host has to call it.

        Raises:
            Exception: that of `make`, if it failed on all hosts or the others could end theirs.
            FailedAlone: it failed here, and the others wait for this host in the middle of it. What they still
                exchange is broken off, so that they hear of it at once.
            RuntimeError: it failed on another host; it names that one.
        """
        error: Exception | None = None
        try:
            made = make()
        except Exception as failed:
            if self.count > 1 and loss_of(failed):  # it failed elsewhere, and nothing can be exchanged any more
                raise
            error = failed
        mine = [platform.node(), error and error_line(error)]
        if error:
            self._tell(mine, error)
            raise error
        _check(self.exchange(mine))
        return made

    def _tell(self, mine: Any, error: Exception) -> None:
        """Tell the others that something failed here.

        Raises:
            FailedAlone: they do not listen.
        """
        import tensorflow as tf

        try:
            self.exchange(mine, ALONE_SECONDS)
        except tf.errors.DeadlineExceededError:
            raise FailedAlone(f"on host {platform.node()} alone: {error_line(error)}") from None

    def part(self) -> None:
        """Wait for all hosts before the end, since one that left would break what the others still exchange."""
        import tensorflow as tf

        with suppress(tf.errors.OpError):  # another host may have heard of all, and be gone already
            self.exchange(None)

    def _exchanged(self, mine: bytes, seconds: float = 0) -> list[bytes]:
        if self.count == 1:
            return [mine]
        lengths = self._gathered(np.array([len(mine)], np.int32), seconds)
        packed = np.zeros(-(-max(lengths) // 4), np.int32)
        packed.view(np.uint8)[: len(mine)] = np.frombuffer(mine, np.uint8)
        rows = self._gathered(packed).reshape(self.count, -1).view(np.uint8)
        return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]

    def _gathered(self, values: np.ndarray, seconds: float = 0) -> np.ndarray:
        """Return the int32 arrays of all hosts, one after the other. It goes over processors, whatever trains."""
        import tensorflow as tf

        self._told += 1
        with tf.device("CPU:0"):
            return tf.raw_ops.CollectiveGatherV2(
                input=values, group_size=self.count, group_key=_GROUP, instance_key=self._told, ordering_token=[],
                communication_hint="ring", timeout_seconds=seconds,
            ).numpy()  # fmt: skip


def hosts_of(placement: Placement) -> Hosts:
    """Return the hosts of a trial as TF_CONFIG names them; without it, one host alone.

    Raises:
        UsageError: Keras is of a version that trains on one host only, or TF_CONFIG does not name so many hosts.
    """
    if placement.hosts == 1:
        return Hosts()
    check_hosts(placement)
    try:
        found = json.loads(os.environ.get(VARIABLE, "{}"))
        workers, index = found["cluster"]["worker"], int(found["task"]["index"])
        known = len(workers) == placement.hosts and found["task"]["type"] == "worker" and 0 <= index < len(workers)
        known = known and all(one.rpartition(":")[2].isdigit() for one in workers)
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise UsageError(
            f"placement.hosts {placement.hosts}: {VARIABLE} does not name {placement.hosts} workers and which of them "
            "this is; run it on a cluster (python -m bench.run --address), or set the variable on every host"
        )
    return Hosts(placement.hosts, index, workers)


def _check(told: Iterable[Sequence[str | None]]) -> None:
    """Raise what failed on a host, given (name, what failed there or nothing) of each."""
    for name, fault in told:
        if fault:
            raise RuntimeError(f"host {name}: {fault}")


def loss_of(error: BaseException) -> str | None:
    """Return in a line that another host of this trial is gone, if an exception tells that; else None."""
    if isinstance(error, HostLost):
        return str(error)
    import tensorflow as tf

    gone = tf.errors.UnavailableError | tf.errors.AbortedError | tf.errors.DeadlineExceededError
    wider = tf.errors.CancelledError | tf.errors.InternalError
    if not (isinstance(error, gone) or (isinstance(error, wider) and "ollective" in str(error))):
        return None
    # Some lines of it are the place in the graph, or only its heading.
    found = re.search(r"Collective ops is aborted by: [^\n]+", str(error))
    return f"another host of this trial is gone: {found.group() if found else error_line(error)}"[:400]
