"""One trial: set up, fit, score, save, and its record.

`python -m bench.trial --set loss.name=dice` runs one in the foreground.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import results
from bench.core import HostLost, own_code, remove_checkpoint
from bench.spec import TrialSpec
from bench.trial.attempts import Attempt, TakenOver
from bench.trial.clocks import PhaseTimer
from bench.trial.facts import Emit, Facts, ignore, memory_peaks
from bench.trial.failures import failure
from bench.trial.hosts import Hosts, hosts_of, loss_of

if TYPE_CHECKING:
    from bench.trial.monitor import TrainingHistory

FINAL = ("ok", "diverged")
"""Statuses after which the checkpoint is deleted. After any other, the next attempt resumes from it."""
LOST = "lost"
"""Kind of the error of a trial that lost another of its hosts, as a scheduler calls it, too."""


def run(
    spec: TrialSpec,
    folder: Path,
    *,
    trial: str = "trial",
    label: str = "trial",
    axes: Mapping[str, Any] | None = None,
    shared: bool = False,
    attempt: Attempt | None = None,
    tuning: Mapping[str, Any] | None = None,
    code: Sequence[Path] = (),
    emit: Emit = ignore,
    timer: PhaseTimer | None = None,
    supervised: bool = False,
) -> results.Record:
    """Run one trial and write its record, whatever happens, unless the process dies.

    If the folder holds the checkpoint of an earlier attempt, the training resumes from it. With several hosts each of
    them calls this, and only the first of them writes into the folder.

    Args:
        spec: the whole specification; `train.precision` must be resolved.
        folder: for record, checkpoint and images; made if missing.
        trial: name of the trial.
        label: name of its cell.
        axes: values of its cell by axis of the grid.
        shared: whether other trials share this machine's cores, so that its throughput is not comparable.
        attempt: this start of a scheduled trial; None in the foreground.
        tuning: what a search found for this cell, for the record.
        code: folders with the user's own code; none for the working directory.
        emit: called with progress events ("step", "epoch", and "alive", a bare sign of life).
        timer: of a caller that measured earlier phases or reads the parts of the phases; default: a new one.
        supervised: whether somebody else tries again, or writes the record, once another host of the trial is gone.

    Returns:
        The record, also written to `folder/record.json`.

    Raises:
        TakenOver: a later attempt has begun; nothing more has been written.
        HostLost: another host of this trial is gone, and it is supervised; nothing more has been written.
        UsageError: the hosts of the trial are not known; nothing has been written.
    """
    hosts = hosts_of(spec.placement)
    folder.mkdir(parents=True, exist_ok=True)
    facts = Facts(timer or PhaseTimer())
    facts.environment["attempt"] = attempt.number if attempt else 1
    facts.environment["process"] = "forked" if facts.timer.inherited else "fresh"
    if attempt:
        facts.check = attempt.check
    base = {"trial": trial, "cell": spec.cell, "label": label, "axes": dict(axes or {}), "seed": spec.seed}
    base |= {"spec": spec.model_dump(mode="json"), "started": now(), "tuning": tuning}
    try:
        found = _complete(spec, folder, facts, shared, code, emit, hosts)
        outcome: dict[str, Any] = {"status": "ok", "error": None, **found}
    except KeyboardInterrupt as stop:
        message = str(stop) or "stopped by the user"
        outcome = {"status": "interrupted", "error": {"kind": "KeyboardInterrupt", "message": message}}
    except TakenOver:
        raise
    except Exception as error:
        outcome = failure(error)
        if hosts.count > 1 and (told := loss_of(error)):
            if supervised:
                raise HostLost(told) from error
            outcome["error"] |= {"kind": LOST, "message": told}
    facts.check()
    record = results.Record(**{**base, **facts.as_fields(spec.placement.gpus), **outcome, "finished": now()})
    if hosts.first:
        results.write(folder, record)
        if record.status in FINAL:
            remove_checkpoint(folder)
    if record.status == "ok":
        hosts.part()
    return record


def _complete(
    spec: TrialSpec, folder: Path, facts: Facts, shared: bool, code: Sequence[Path], emit: Emit, hosts: Hosts
) -> dict[str, Any]:
    """Run the phases in order, and return the fields of the record that only a complete trial has."""
    timer = facts.timer
    with timer.phase("init"), hosts.beginning():
        own_code.make_importable(spec.own_code, code)
        own_code.verify(spec.own_code)
        # Imported here for three reasons: the process has to be prepared before TensorFlow is imported, the import
        # counts as set-up, and the record reports an import that fails or is interrupted.
        from bench.trial.artefacts import save
        from bench.trial.costs import cost
        from bench.trial.fit import fit
        from bench.trial.own_metrics import with_own_metrics
        from bench.trial.scoring import choose_reported, score_reported_weights
        from bench.trial.setup import setup
        from bench.trial.throughput import measure_reference, resident_rate, throughput

        prepared = setup(spec, facts, emit, hosts)
    before = measure_reference(spec, timer, shared)
    with timer.phase("train"):
        history = fit(prepared, folder, facts, emit, before)
    facts.memory = memory_peaks(spec.placement.gpus)  # of training and validation, before anything else is evaluated
    history.references += measure_reference(spec, timer, shared)
    reported = choose_reported(prepared, history, timer)
    resident = resident_rate(prepared, timer, shared)  # changes the weights; the next line sets them again
    views = with_own_metrics(score_reported_weights(prepared, reported, facts), spec.eval.metrics)
    facts.check()
    with hosts.folder(folder) as place:
        save(prepared, reported, place, facts)
    facts.cost = cost(prepared, timer)  # last: tracing the model once more must not disturb what is timed
    speed = _of_all(throughput(spec, history, resident, shared, facts.cores), hosts)
    return {"views": views, "throughput": speed, **_milestones(spec, history, timer)}


def _of_all(speed: dict[str, Any], hosts: Hosts) -> dict[str, Any]:
    """Return a throughput, which cannot be compared if another host says so of its own machine."""
    told = hosts.exchange([platform.node(), speed["reason"]])
    reasons = [f"host {name}: {reason}" for name, reason in told if reason]
    if speed["reason"] or not reasons:
        return speed
    return {**speed, "comparable": False, "reason": reasons[0]}


def _milestones(spec: TrialSpec, history: TrainingHistory, timer: PhaseTimer) -> dict[str, Any]:
    """Return the record's `target` (when the target was reached, if it was) and `best` (the best epoch)."""
    best = history.best_scores
    return {
        "target": _target(spec, history, timer),
        "best": {"epoch": history.best_epoch, "miou": best.as_dict()["miou"]} if best else None,
    }


def _target(spec: TrialSpec, history: TrainingHistory, timer: PhaseTimer) -> dict[str, Any] | None:
    """Return what the training took to its target, or took in all without reaching it; None without a target."""
    if spec.target is None:
        return None
    metric, value = spec.target
    whole = {
        "epoch": history.epochs, "steps": history.steps,
        "seconds": timer.elapsed("train"), "cpu_seconds": history.cpu_seconds,
    }  # fmt: skip
    return {"metric": metric, "value": value, "reached": history.target is not None, **(history.target or whole)}


def now() -> str:
    """Return the time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
