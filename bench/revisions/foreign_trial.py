"""One trial of a checkout's own code, in a fresh process, by its command `python -m bench.trial`.

That command and its options `--preset`, `--set` and `--out` are as old as trials are. What it leaves is a record, which
is read by the present version and its migrations. So the present version has to know nothing else about the other.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import results
from bench.core import CACHE_VARIABLE, COMMIT_VARIABLE, describe
from bench.plan import Cell, grid
from bench.revisions.environments import Runnable
from bench.spec import TrialSpec, as_settings
from bench.trial import MachineWatch, disturbances

LAUNCHER = Path(__file__).with_name("launcher.py")
PRESET = "smoke"
"""The preset that is named to `bench.trial`. The settings of a trial say all that it would set."""
STOP_SECONDS = 20.0
"""Longest wait for a trial that is asked to stop, before it is killed."""
ASK_SECONDS = 120.0
"""Longest wait for a checkout's code to read its settings."""
_LOOK_SECONDS = 0.1
_NOT_ITS = ("PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", COMMIT_VARIABLE)
"""Variables of this process that a trial of another checkout must not have."""
_MACHINE = ("processor", "instructions", "cores", "gpus")
"""Facts about the machine, which an older version may not record, or may count otherwise."""


@dataclass(frozen=True)
class _Ended:
    """How the process of a trial ended: its exit status (negative for a signal), or None after a time-out."""

    status: int | None
    said: str


def measure(
    runnable: Runnable,
    cell: Cell,
    seed: int,
    folder: Path,
    *,
    facts: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    alive: Callable[[], None] = lambda: None,
) -> results.Record:
    """Run one trial of a checkout's code, and return its record, which is also written to `folder`.

    The record says cell, label and specification as they were planned here, and names the revision. A trial that the
    other code refuses, or that dies without a record, gives a record with status "invalid", "crashed" or "timeout",
    whose error says why. So does a record that other code or other settings made than those asked for.

    Args:
        runnable: the checkout and its interpreter.
        cell: of the plan; placement included.
        seed: of the trial.
        folder: of the trial; its name is that of the trial. It appears once the record is complete.
        facts: further entries of the record's environment.
        timeout: seconds after which the trial is ended; None for no limit.
        alive: called again and again while the trial prints.

    Raises:
        KeyboardInterrupt: Ctrl-C; the process has ended, and nothing is left of the trial.
        OSError: the folder cannot be written.
    """
    spec, revision = cell.spec.model_copy(update={"seed": seed}), runnable.checkout.revision
    facts = {"git_commit": revision.recorded, **(facts or {})}
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        planned: dict[str, Any] = {
            "trial": folder.name, "cell": spec.cell, "label": cell.label, "axes": dict(cell.axes), "seed": seed,
            "spec": spec.model_dump(mode="json"), "started": _now(),
            "environment": {**describe(), "code": None, **facts},
        }  # fmt: skip
        with MachineWatch(spec.placement.gpus) as watch:
            before = watch.sample()
            ended = _run(runnable, _settings(spec), spec.placement.cpus, part, timeout, alive)
            beside = results.WindowState(**disturbances.between(before, watch.sample()))
        planned["finished"] = _now()
        record = _read(part, ended, revision.name, planned)
        if fault := _other_code(record, revision.commit) or _other_settings(record, planned["spec"]):
            record = _failing(planned, "invalid", "other trial", f"{revision.name}: {fault}")
        record = _with_state(_as_planned(record, planned, facts), beside)
        results.write(part, record)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        return record
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _as_planned(record: results.Record, planned: Mapping[str, Any], facts: Mapping[str, Any]) -> results.Record:
    """Return a record with what is known here in place of what another version says, or leaves out.

    That are the names of the plan, the machine, and the settings: its own were compared with them, and those that it
    lacks have their default.
    """
    names = {name: planned[name] for name in ("trial", "cell", "label", "axes", "seed")}
    machine = {name: planned["environment"].get(name) for name in _MACHINE}
    environment = {**record.environment, **machine, "onednn": _onednn(), **facts}
    sections = (name for name, value in planned["spec"].items() if isinstance(value, Mapping))
    spec = {**planned["spec"], **{name: {**record.spec.get(name, {}), **planned["spec"][name]} for name in sections}}
    return record.model_copy(update={**names, "spec": spec, "environment": environment})


def _with_state(record: results.Record, beside: results.WindowState) -> results.Record:
    """Return a record that says whether other work disturbed its trial.

    Older versions do not record it. Then it is decided by what this process saw beside the whole trial.
    """
    speed = record.throughput
    if speed is None or speed.reason != results.UNKNOWN_STATE:
        return record
    (found,) = disturbances.find([beside])
    speed = speed.model_copy(update={"comparable": found is None, "reason": found and f"{found}, over the whole trial"})
    return record.model_copy(update={"throughput": speed})


def _onednn() -> str:
    """Return the setting of oneDNN that all trials are given: that of this process, or the project's own."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1")


def refusal(runnable: Runnable, cell: Cell) -> str:
    """Return why the code of a checkout refuses a cell's settings; empty if it takes them. Nothing is trained.

    `bench.trial` reads its settings before it looks at its folder. So it is given a folder that holds a trial already:
    to get as far as that refusal is to take the settings.

    Args:
        runnable: the checkout and its interpreter.
        cell: of the plan.
    """
    folder = runnable.checkout.scratch / "asked"
    folder.mkdir(exist_ok=True)
    (folder / "record.json").touch()
    try:
        ended = _run(runnable, _settings(cell.spec), None, folder, ASK_SECONDS, lambda: None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if ended.status == 2 and "holds a trial already" in ended.said:
        return ""
    return ended.said.removeprefix("error: ") or f"it ended with status {ended.status}"


def _settings(spec: TrialSpec) -> list[str]:
    return as_settings(spec, grid.presets()[PRESET]["set"])


def _run(
    runnable: Runnable, settings: list[str], cpus: int | None, folder: Path, timeout: float | None,
    alive: Callable[[], None],
) -> _Ended:  # fmt: skip
    """Run `bench.trial` of a checkout, with its output in the log of a folder, and return how it ended."""
    checkout, log = runnable.checkout, folder / results.LOG
    options = [part for text in settings for part in ("--set", text)]
    command = [runnable.python, "-P", LAUNCHER, checkout.folder, "bench.trial", "--preset", PRESET, *options]
    with open(log, "wb", buffering=0) as output:
        process = subprocess.Popen(
            [*map(str, command), "--out", str(folder.resolve())], env=_variables(runnable, cpus),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            status = _wait(process, log, timeout, alive)
        finally:
            _end(process)
    said = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return _Ended(status, said[-1][:500] if said else "")


def _variables(runnable: Runnable, cpus: int | None) -> dict[str, str]:
    """Return the environment variables of a trial: those of this process, but no other copy of the project.

    Its caches are its own, so that it neither reads what other code decoded, nor gains from what the other side did.
    """
    variables = {name: value for name, value in os.environ.items() if name not in _NOT_ITS}
    if cpus is not None:  # as the worker of a scheduled trial sets them
        threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        variables |= dict.fromkeys(threads, str(cpus))
    checkout = runnable.checkout
    return variables | {
        "PYTHONPATH": str(checkout.folder), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1",
        CACHE_VARIABLE: str(checkout.scratch), "TF_ENABLE_ONEDNN_OPTS": _onednn(),
    }  # fmt: skip


def _wait(process: subprocess.Popen[bytes], log: Path, timeout: float | None, alive: Callable[[], None]) -> int | None:
    """Wait for the end of a trial, and return its exit status; None if its time was up."""
    deadline, size = time.monotonic() + (timeout or float("inf")), 0
    while time.monotonic() < deadline:
        try:
            return process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if (grown := log.stat().st_size) != size:
                size = grown
                alive()
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process of a trial and its children, if it runs still: in order, and after a while by force."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read(folder: Path, ended: _Ended, who: str, base: Mapping[str, Any]) -> results.Record:
    """Return the record that a trial left, or one that says why it left none."""
    if ended.status is None:
        return _failing(base, "timeout", "timeout", f"{who}: not done in the time of a trial")
    if not (folder / "record.json").exists():
        if ended.status == 2:
            return _failing(base, "invalid", "UsageError", f"{who} refuses it: {ended.said.removeprefix('error: ')}")
        ending = f"ended by {_signal(ended.status)}" if ended.status < 0 else f"exit status {ended.status}"
        return _failing(base, "crashed", "died", f"{who}: {ending}, without a record: {ended.said}")
    try:
        return results.read(folder)
    except ValueError as error:
        return _failing(base, "crashed", "ValueError", f"{who}: its record cannot be read: {error}")


def _signal(status: int) -> str:
    return signal.Signals(-status).name if -status in signal.valid_signals() else f"signal {-status}"


def _failing(base: Mapping[str, Any], status: str, kind: str, message: str) -> results.Record:
    """Return the record of a trial that measured nothing."""
    return results.Record(**base, status=status, error={"kind": kind, "message": message})  # type: ignore[arg-type]


def _other_code(record: results.Record, commit: str) -> str:
    """Return which code made a record if that was another commit; empty if it is the right one, or unknown."""
    named = str(record.environment.get("git_commit") or "").rstrip("+")
    if not named or commit.startswith(named):
        return ""
    return f"other code ran: its record names commit {named}, wanted was {commit[:12]}"


def _other_settings(record: results.Record, planned: Mapping[str, Any]) -> str:
    """Return in which fields a record has another specification than planned; empty if in none.

    Fields that only one of the two versions knows are not compared. Those that the other lacks have their default
    here, because a setting that is not known is refused.
    """
    differ = [
        f"{path}: {theirs!r} instead of {ours!r}"
        for path, ours, theirs in _both(planned, record.spec)
        if ours != theirs and not path.startswith("placement.") and path != "data.planned_root"
    ]
    return f"its code ran other settings: {', '.join(differ[:3])}" if differ else ""


def _both(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Return (dotted name, our value, their value) of the fields that both have."""
    found: list[tuple[str, Any, Any]] = []
    for name in ours:
        path = f"{prefix}{name}"
        if name not in theirs:
            continue
        if isinstance(ours[name], Mapping) and isinstance(theirs[name], Mapping) and path != "loss.params":
            found += _both(ours[name], theirs[name], f"{path}.")
        else:
            found.append((path, ours[name], theirs[name]))
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
