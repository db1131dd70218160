"""The training of a trial: one Keras `fit` under its strategy, from the start or from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import keras

from bench.trial.averages import Averaging
from bench.trial.facts import Emit, Facts, ignore
from bench.trial.machine_watch import MachineWatch
from bench.trial.monitor import LossSchedule, TrainingHistory, TrainingMonitor
from bench.trial.resume import restore_checkpoint, write_checkpoint
from bench.trial.scoring import score_validation
from bench.trial.setup import Prepared
from bench.trial.strategy import distribute


def fit(
    prepared: Prepared, folder: Path, facts: Facts, emit: Emit = ignore, before: Sequence[dict[str, float]] = ()
) -> TrainingHistory:
    """Train to the last epoch, or to the target of the spec if that ends the training.

    If an earlier attempt left a checkpoint in the folder, the training resumes from it.

    Args:
        prepared: the trial; its models are trained in place.
        folder: holds the checkpoint, which is written after every epoch.
        facts: gets the history, which grows while the training runs.
        emit: called with progress events.
        before: the measurement of the reference before the training, for the history.

    Raises:
        Diverged: the loss is not finite.
        UsageError: no pixel of the validation split has a label.
    """
    train = prepared.spec.train
    history = facts.training = restore_checkpoint(prepared, folder, facts) or TrainingHistory()
    history.references += before
    if not train.eager:  # else the time of the first evaluation would include its tracing
        with facts.timer.phase("compile"):
            prepared.evaluator.warm(prepared.evaluation["val"])
    steps = train.epochs * train.steps_per_epoch
    batches = distribute(prepared.batches(steps, history.steps), prepared.strategy)
    # The progress at the last step that was done. After the last epoch nothing sets it again: only scoring is left.
    prepared.objective.set_progress(max(0, history.steps - train.steps_per_execution) / steps)
    reached = train.until is not None and history.target is not None
    if history.epochs < train.epochs and not reached:
        with MachineWatch(prepared.spec.placement.gpus) as watch:
            prepared.training_model.fit(
                batches,
                initial_epoch=history.epochs,
                epochs=train.epochs,
                steps_per_epoch=train.steps_per_epoch,
                callbacks=_callbacks(prepared, history, folder, facts, emit, watch),
                verbose=0,
            )
    return history


def _callbacks(
    prepared: Prepared, history: TrainingHistory, folder: Path, facts: Facts, emit: Emit, watch: MachineWatch
) -> list[keras.callbacks.Callback]:
    monitor = TrainingMonitor(
        prepared.spec,
        score=partial(score_validation, prepared),
        running=prepared.running,
        learning_rate=prepared.learning_rate,
        timer=facts.timer,
        emit=emit,
        history=history,
        keep=partial(write_checkpoint, prepared, history, folder, facts),
        sample=watch.sample,
        scored=prepared.average.in_place if prepared.average else nullcontext,
        classes=prepared.dataset.class_names,
    )
    # The average comes first, so that the monitor counts its time in the steps, and scores it after the last of them.
    found: list[keras.callbacks.Callback] = [Averaging(prepared.average)] if prepared.average else []
    found.append(monitor)
    if prepared.objective.train_loss.scheduled:
        found.append(LossSchedule(prepared.objective.set_progress, prepared.spec.train, history.steps))
    return found
