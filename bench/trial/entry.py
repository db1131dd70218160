"""The entry points of a scheduled trial, called in a separate process, and in the fork server that made it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import results
from bench.core import HostFailed, code_version, prepare_process
from bench.spec import parse
from bench.trial.attempts import begin
from bench.trial.clocks import PhaseTimer
from bench.trial.facts import Emit
from bench.trial.hosts import hosts_of
from bench.trial.trial import run

_NEEDED = ("artefacts", "costs", "fit", "own_metrics", "scoring", "setup", "throughput")
"""The modules of this room that every trial imports, and by them TensorFlow and Keras."""


def warm_up(cpus: str, *packages: str) -> None:
    """Import what every trial imports, and nothing else, so that no trial pays for the imports of another.

    It runs no operation of TensorFlow, which would start threads. The devices, too, are left to the trial.

    Args:
        cpus: the payload's number of CPUs, which sets the size of thread pools; empty for None.
        packages: that build the model, `models.ModelSpec.packages`.
    """
    prepare_process(int(cpus) if cpus else None)
    code_version()  # before its modules are imported, so that records name the code that is
    for name in _NEEDED:
        import_module(f"bench.trial.{name}")
    import_module("models.builder")
    for package in packages:
        getattr(import_module("models.compat"), f"import_{package}")()


def worker(payload: dict[str, Any], emit: Emit) -> None:
    """Run the scheduled trial of a payload in this process, which runs no other.

    With several hosts each has such a process. The first of them alone counts attempts and tells the result.

    Args:
        payload: plain data of `bench.execution.runner`: specification, folder, CPUs and what the record says besides.
            "imports_s": the seconds that `warm_up` took, if this process was forked.
        emit: called with progress events, and with "result" at the end.

    Raises:
        KeyboardInterrupt: a signal ended the training; the record says so.
        TakenOver: a later attempt has begun, on another machine; nothing more has been written.
        HostLost: another host of this trial is gone; nothing more has been written.
        HostFailed: the trial failed on a host that is not the first, which writes no record.
    """
    timer = PhaseTimer()
    timer.inherit("init", payload.get("imports_s", 0.0))
    prepare_process(payload["cpus"])
    spec = parse(payload["spec"], f"trial {payload['trial']}")
    names = {name: payload[name] for name in ("trial", "label", "axes", "shared", "tuning")}
    folder = Path(payload["folder"])
    code = [Path(place) for place in payload["code"]]
    first = hosts_of(spec.placement).first
    attempt = begin(folder) if first else None
    # An earlier attempt that the cluster had lost sight of may have completed the trial since.
    done = _complete(folder) if first else None
    record = done or run(spec, folder, **names, attempt=attempt, code=code, emit=emit, timer=timer, supervised=True)
    if record.status == "interrupted":
        raise KeyboardInterrupt(record.error.message if record.error else "")
    if record.error and not first:
        raise HostFailed(f"{record.error.kind}: {record.error.message}", record.status)
    emit({"event": "result", **_numbers(record)})


def _complete(folder: Path) -> results.Record | None:
    """Return the record in the folder of a trial if it is that of a complete one."""
    try:
        record = results.read(folder)
    except ValueError:
        return None
    return record if record.status == "ok" else None


def _numbers(record: results.Record) -> dict[str, Any]:
    """Return the final numbers of a trial that a tracker shows."""
    last = record.history[-1] if record.history else None
    found: dict[str, Any] = {"epoch": last and last.epoch, "step": last.step if last else 0}
    if record.views:
        scores = ("miou", "mean_dice", "mean_image_iou", "boundary_iou", "pixel_accuracy")
        found |= {f"final_{name}": getattr(record.views[0], name) for name in scores}
    found |= {"final_images_per_second": record.throughput.images_per_second if record.throughput else None}
    found |= record.memory.model_dump()
    return {name: value for name, value in found.items() if value is not None}
