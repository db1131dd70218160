"""Checks of a cluster before the first trial: its nodes, their versions, GPUs and data, and the trackers."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core import UsageError, differences, made_by
from bench.plan import Machine, Plan, why_unplaceable
from bench.spec import DataSpec
from bench.storage import Address, Mirror, is_address, mirror_of
from results import counted

_COUNT_GPUS = "bench.trial:visible_gpus"
CLOCK_SECONDS = 60.0
"""Largest difference between two clocks. By them is told when a trial began, and whether a run still goes on."""


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker whose package is not installed.

    Raises:
        UsageError: names the tracker and the extra to install.
    """
    for name in names:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:  # W&B leaves folders named `wandb`, which would be found as packages
            raise UsageError(f"--track {name} needs the extra `{name}`: pip install 'segmentation-bench[{name}]'")


def check_placement(plan: Plan, nodes: Sequence[Machine]) -> None:
    """Refuse trials that no node can hold, and nodes whose TensorFlow does not see the GPUs that Ray gives a trial.

    Raises:
        UsageError: names the trial's needs, or the node.
    """
    if fault := why_unplaceable(plan.needs, nodes):
        raise UsageError(fault)
    if plan.gpus:
        from bench.execution import ray_nodes

        for node, seen in ray_nodes.on_every_node(_COUNT_GPUS, gpus=plan.gpus).items():
            if seen != plan.gpus:
                raise UsageError(
                    f"node {node}: Ray gives a trial {counted(plan.gpus, 'GPU')} but TensorFlow sees {seen}; install "
                    "its CUDA libraries there (make venv CUDA=1) or use --gpus-per-trial 0"
                )


def check_hosts(plan: Plan, out: Path) -> None:
    """Refuse trials over several hosts whose run is in an object store: their hosts share one folder.

    Raises:
        UsageError: names the field.
    """
    if (mirror := mirror_of(out)) and any(cell.spec.placement.hosts > 1 for cell in plan.grid.cells):
        raise UsageError(
            f"placement.hosts: the hosts of one trial need a folder that all of them see, and {mirror.address} is "
            "none; give --storage a path on a shared disk"
        )


def check_nodes(out: Path) -> None:
    """Refuse a cluster with a node that has other versions or another clock, or does not see the folder for results.

    Args:
        out: folder for results; made if missing.

    Raises:
        UsageError: names the node, and both versions, the difference of the clocks, or that it does not answer.
    """
    from bench.execution import ray_nodes

    mirror = mirror_of(out)
    if mirror:
        mirror.check_writable()
    out.mkdir(parents=True, exist_ok=True)
    marker = out.resolve() / f".seen-by-all-nodes-{os.getpid()}"
    marker.touch()
    where = str(mirror.address) if mirror else str(marker)
    asked = time.time()
    try:
        for node, found in ray_nodes.on_every_node("bench.execution.cluster_checks:probe", where).items():
            if differ := differences(found["made_by"], here := made_by()):
                name = differ[0]
                raise UsageError(
                    f"node {node} has {name} {found['made_by'][name]}, this process {name} {here[name]}: "
                    "install the same on both"
                )
            if abs(off := _off(found["clock"], asked, time.time())) > CLOCK_SECONDS:
                raise UsageError(
                    f"node {node}: its clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} that of this "
                    "machine; set both by the same time server"
                )
            if found["fault"]:
                raise UsageError(f"node {node}: {found['fault']}")
            if not found["sees"]:
                raise UsageError(f"node {node} does not see {out}: --storage has to be a path that all nodes share")
    finally:
        marker.unlink()


def _off(clock: float, asked: float, answered: float) -> float:
    """Return by how many seconds at least a clock is ahead, if it was read between two moments; less than 0 if behind.

    >>> _off(100.0, 90.0, 95.0), _off(92.0, 90.0, 95.0), _off(80.0, 90.0, 95.0)
    (5.0, 0.0, -10.0)
    """
    return max(0.0, clock - answered) - max(0.0, asked - clock)


def check_data(data: Mapping[DataSpec, str], tell: Callable[[str], None]) -> None:
    """Refuse a cluster if a data root is missing on a node, has faults there, or holds another version.

    Args:
        data: the version on this machine of each data set.
        tell: called with a line about a node that reads for long. That has no limit: it may have to bring all of the
            data first, and a disk that hangs looks the same.

    Raises:
        UsageError: names the node and what is wrong there.
    """
    from bench.execution import ray_cluster, ray_nodes

    if not ray_cluster.several_machines():
        return
    for spec, here in data.items():
        if spec.root is None:
            continue

        def lasts(node: str, seconds: float, root: str = spec.root) -> None:
            tell(f"Node {node} has been reading data.root {root} for {seconds / 60:.0f} minutes; its Ray answers.")

        found = ray_nodes.on_every_node("bench.data:version_here", spec.model_dump(), lasts=lasts)
        for node, (version, fault) in found.items():
            if fault or version != here:
                what = fault or f"data.root {spec.root} holds version {version}, on this machine {here}"
                raise UsageError(f"node {node}: {what}; data.root has to hold the same set on every node")


def probe(marker: str) -> dict[str, Any]:
    """Return versions and clock of the node on which this runs, and whether it sees a file or can use a store.

    Args:
        marker: path of the file, or address in the store.
    """
    fault = ""
    if is_address(marker):
        try:
            Mirror(Path(), Address.of(marker)).check_writable()
        except UsageError as error:
            fault = str(error)
    sees = is_address(marker) or Path(marker).exists()
    if sees and not is_address(marker):
        try:
            tempfile.TemporaryFile(dir=Path(marker).parent).close()
        except OSError as error:
            fault = f"it cannot write {Path(marker).parent}: {error.strerror}"
    return {"made_by": made_by(), "clock": time.time(), "sees": sees, "fault": fault}
