"""The checkpoint of a trial: written after its epochs, restored by the next attempt."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.core import MADE_BY, Checkpoint, WritingPace, describe, read_checkpoint
from bench.trial import checkpoint
from bench.trial.clocks import PhaseTimer
from bench.trial.facts import Facts
from bench.trial.monitor import TrainingHistory
from bench.trial.setup import Prepared


def restore_checkpoint(prepared: Prepared, folder: Path, facts: Facts) -> TrainingHistory | None:
    """Restore the checkpoint of an earlier attempt: weights, optimiser, dropout, clocks.

    Returns:
        The history of that attempt. None if there is no checkpoint, or one of another spec, code, version or data.
    """
    kept = read_checkpoint(folder)
    if kept is None:
        return None
    if kept.state.get("made_by") != _made_by(prepared):
        print("The state of an earlier attempt was left by other code, versions or data: from the beginning.")
        return None
    with prepared.strategy.scope():
        checkpoint.restore_training(prepared.training_model, kept.arrays)
    history = checkpoint.history_of(kept)
    if prepared.average:
        prepared.average.restore(kept.arrays["average"], history.steps)
    for name in PhaseTimer.PHASES:
        facts.timer.add(name, kept.state["clocks"][f"{name}_s"])
    facts.timer.add_cpu(kept.state["clocks"].get("cpu_s", 0.0))
    machine = _machine(facts)
    if kept.state.get("machine") != machine or any(value in (None, "") for value in machine.values()):
        for measured in (history.windows, history.states, history.references):
            measured.clear()  # the speed of another machine, or of one that is unknown
    facts.environment["resumed_after_epoch"] = history.epochs
    return history


class CheckpointKeeper:
    """Writes the checkpoint of a trial after its epochs, at the pace that its storage allows.

    That of the last epoch is always written, since scores and weights are still to come. A trial over several hosts
    writes them all, because all hosts take part in each.

    Args:
        prepared: the trial.
        history: of its training.
        folder: of the trial.
        facts: hold its clocks, and know whether a later attempt has begun.
    """

    def __init__(self, prepared: Prepared, history: TrainingHistory, folder: Path, facts: Facts) -> None:
        self._prepared, self._history, self._folder, self._facts = prepared, history, folder, facts
        self.pace = WritingPace()

    def __call__(self) -> None:
        """Keep the state after an epoch, if it is time.

        Raises:
            TakenOver: a later attempt at the trial has begun, whose checkpoint would be replaced.
        """
        train = self._prepared.spec.train
        last = self._history.epochs >= train.epochs or (train.until is not None and self._history.target is not None)
        began = time.monotonic()
        if last or self._prepared.hosts.count > 1 or self.pace.due(began):
            write_checkpoint(self._prepared, self._history, self._folder, self._facts)
            self.pace.wrote(began, time.monotonic())


def write_checkpoint(prepared: Prepared, history: TrainingHistory, folder: Path, facts: Facts) -> None:
    """Replace the checkpoint of the trial with its present state.

    Raises:
        TakenOver: a later attempt at the trial has begun, whose checkpoint it would replace.
    """
    facts.check()
    with facts.timer.phase("io"):
        seen = checkpoint.of_history(history)
        state = {**seen.state, "made_by": _made_by(prepared), "machine": _machine(facts)}
        state["clocks"] = facts.timer.as_dict()
        arrays = {**checkpoint.of_training(prepared.training_model), **seen.arrays}
        if prepared.average:
            arrays["average"] = prepared.average.weights()
        if prepared.hosts.first:  # the others have taken part, since some values are means over all replicas
            checkpoint.write(folder, Checkpoint(state, arrays))


def _machine(facts: Facts) -> dict[str, Any]:
    """Return the hardware that images/s depends on."""
    return {name: facts.environment.get(name) for name in ("processor", "instructions", "cores", "gpu_names")}


def _made_by(prepared: Prepared) -> dict[str, Any]:
    """Return what has to be equal so that a training can resume as if it had never stopped."""
    spec = prepared.spec.model_dump(mode="json")
    spec["placement"].pop("cpus")
    return {"spec": spec, "data": prepared.dataset.version, **{name: describe().get(name) for name in MADE_BY}}
