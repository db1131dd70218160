"""The training of a trial: a Keras `fit` per phase under its strategy, from the start or from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from bench.core import KERAS_3
from bench.spec import Phase, TrialSpec, phases, steps_before_release
from bench.trial.averages import Averaging
from bench.trial.facts import Emit, Facts, ignore
from bench.trial.freezing import FrozenBackbone
from bench.trial.machine_watch import MachineWatch
from bench.trial.monitor import LossSchedule, TrainingHistory, TrainingMonitor
from bench.trial.resume import CheckpointKeeper, restore_checkpoint
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
        folder: holds the checkpoint, which is written after the epochs.
        facts: gets the history, which grows while the training runs.
        emit: called with progress events.
        before: the measurement of the reference before the training, for the history; empty if the trial is not timed.

    Raises:
        Diverged: the loss is not finite.
        UsageError: no pixel of the validation split has a label.
    """
    train = prepared.spec.train
    history = facts.training = restore_checkpoint(prepared, folder, facts) or TrainingHistory()
    prepared.hosts.agree(history.epochs, "the epoch after which they go on")
    history.references += before
    if not train.eager and "val" in prepared.evaluation:  # else its first evaluation would include its tracing
        with facts.timer.phase("compile"):
            prepared.evaluator.warm(prepared.evaluation["val"])
    # The progress at the last step that was done. After the last epoch nothing sets it again: only scoring is left.
    prepared.objective.set_progress(max(0, history.steps - train.steps_per_execution) / train.steps)
    gpus, keep = prepared.spec.placement.gpus, CheckpointKeeper(prepared, history, folder, facts)
    with MachineWatch(gpus, hand_over=bool(before) and not gpus) as watch:
        for phase in phases(prepared.spec):
            reached = train.until is not None and history.target is not None
            if history.epochs < phase.last and not reached:
                _train(prepared, phase, history, _callbacks(prepared, phase, history, facts, emit, watch, keep))
    return history


def _train(
    prepared: Prepared, phase: Phase, history: TrainingHistory, callbacks: list[keras.callbacks.Callback]
) -> None:
    """Train the epochs of a phase that are left."""
    per_epoch, model = prepared.spec.train.steps_per_epoch, prepared.training_model
    if history.epochs == phase.first - 1:  # the speed of a trial is that of its last phase: others have other steps
        for measured in (history.windows, history.states):
            measured.clear()
    # Made anew, so that it is traced for the shape of these crops and for what is trained now. The old function would
    # be traced again for a shape that covers both, which is slower and rounds in another way.
    model.train_function = None
    _spare_autograph(model, prepared.spec)
    model.fit(
        distribute(prepared.batches(phase.last * per_epoch, history.steps, phase.crop), prepared.strategy),
        initial_epoch=history.epochs,
        epochs=phase.last,
        steps_per_epoch=per_epoch,
        callbacks=callbacks,
        verbose=0,
    )


def _spare_autograph(model: keras.Model, spec: TrialSpec) -> None:
    """Have the training step of Keras 2 traced without AutoGraph, as Keras 3 does by itself.

    Nothing in models, losses and our optimisers needs it. Several steps per execution are a loop, which does, and so
    may optimisers of tensorflow-addons and code of the user's own.
    """
    train = spec.train
    ours = train.wrapper == "none" and train.optimizer in ("adam", "adamw", "sgd") and not spec.own_code
    if not (KERAS_3 or train.eager) and train.steps_per_execution == 1 and ours:
        step = model.make_train_function().python_function
        model.train_function = tf.function(step, reduce_retracing=True, autograph=False)


def _callbacks(
    prepared: Prepared,
    phase: Phase,
    history: TrainingHistory,
    facts: Facts,
    emit: Emit,
    watch: MachineWatch,
    keep: CheckpointKeeper,
) -> list[keras.callbacks.Callback]:
    monitor = TrainingMonitor(
        prepared.spec,
        score=partial(score_validation, prepared),
        running=prepared.running,
        learning_rate=prepared.learning_rate,
        timer=facts.timer,
        emit=emit,
        history=history,
        keep=keep,
        sample=watch.sample,
        scored=prepared.average.in_place if prepared.average else nullcontext,
        classes=prepared.dataset.class_names,
    )
    # The average comes first, so that the monitor counts its time in the steps, and scores it after the last of them.
    # Before both, a backbone is thawed. One that is frozen for the whole training was built so.
    found: list[keras.callbacks.Callback] = []
    if phase.frozen and steps_before_release(prepared.spec.train):
        found.append(FrozenBackbone(prepared.model))
    if prepared.average:
        found.append(Averaging(prepared.average))
    found.append(monitor)
    if prepared.objective.train_loss.scheduled:
        found.append(LossSchedule(prepared.objective.set_progress, prepared.spec.train, history.steps))
    return found
