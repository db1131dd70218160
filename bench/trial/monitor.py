"""The history of a training and its Keras callbacks: the monitor that records it, and the schedule of its loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from bench.spec import TrainSpec, TrialSpec
from bench.trial import disturbances
from bench.trial.clocks import PhaseTimer
from bench.trial.evaluator import Scores
from bench.trial.facts import Emit
from bench.trial.machine_watch import Sample
from bench.trial.metrics import RunningConfusion
from results import class_iou

EPOCH_METRICS = ("loss", "miou", "mean_dice", "pixel_accuracy", "mean_image_iou", "boundary_iou", "iou")


class Diverged(Exception):
    """The loss is not finite. `epoch`, `step` and `detail` (last finite loss, loss scale) reach the record."""

    def __init__(self, epoch: int, step: int, last_finite: float | None, loss_scale: float | None) -> None:
        super().__init__(f"the loss is not finite at step {step} (epoch {epoch}); last finite value {last_finite}")
        self.epoch, self.step = epoch, step
        self.detail = {"last_finite": last_finite, "loss_scale": loss_scale}


@dataclass
class TrainingHistory:
    """What was measured during a training. A checkpoint holds all of it, under these names.

    Attributes:
        history: the record's entry of each epoch.
        windows: images/s of each window of steps.
        states: the machine during each window, fields of `results.WindowState`.
        references: measurements of the reference, by each attempt before its first window and after its last.
        best_epoch: epoch of the highest validation mIoU, counted from 1.
        best_scores: validation scores of that epoch.
        best_weights: weights of that epoch, if `eval.keep_checkpoint` is "best".
        last_scores: validation scores of the last epoch.
        cpu_seconds: CPU seconds of the steps so far, without those of the first one, which is mostly tracing.
        target: the fields of `results.Target` that say when the target of the spec was reached; None if not yet.
        last_finite_loss: the newest loss that was read.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    windows: list[float] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    references: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_scores: Scores | None = None
    best_weights: list[np.ndarray] | None = None
    last_scores: Scores | None = None
    cpu_seconds: float = 0.0
    target: dict[str, float] | None = None
    last_finite_loss: float | None = None

    @property
    def epochs(self) -> int:
        """The number of epochs that are done."""
        return len(self.history)

    @property
    def steps(self) -> int:
        """The number of steps that are done."""
        return self.history[-1]["step"] if self.history else 0


class LossSchedule(keras.callbacks.Callback):
    """Tells a loss that changes during training the progress of the training, before every step.

    Args:
        set_progress: called with the share of all steps with a rising rate that is done, 0..1.
        train: section of the spec.
        done: steps that an earlier attempt did.
    """

    _supports_tf_logs = True  # as in `TrainingMonitor`

    def __init__(self, set_progress: Callable[[float], None], train: TrainSpec, done: int = 0) -> None:
        super().__init__()
        self._set_progress, self._train, self._done = set_progress, train, done

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._set_progress(self._done / (self._train.epochs * self._train.steps_per_epoch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._done += self._train.steps_per_execution


class TrainingMonitor(keras.callbacks.Callback):
    """Times windows of steps, scores every epoch, keeps the best weights, and stops if the loss is not finite.

    A window has one synchronisation with the host. At its edges the state of the machine is read.

    Args:
        spec: of the trial.
        score: scores the present weights on the validation split; None if that is trained on.
        running: the confusion matrix of the epoch's training batches.
        learning_rate: function from the step to the rate.
        timer: counts the seconds of tracing and of evaluation.
        emit: called with progress events.
        history: of a training that is resumed, or an empty one; it is extended in place.
        keep: called after every epoch, once the history contains it.
        sample: reads the state of the machine.
        scored: makes a context in which the model has the weights that are scored and kept, such as averages.
        classes: names of the classes, whose IoU is emitted.
    """

    # Without this Keras 2 copies all logs to the host after every batch, which would slow the steps that are timed.
    _supports_tf_logs = True

    def __init__(
        self,
        spec: TrialSpec,
        score: Callable[[], Scores | None],
        running: RunningConfusion,
        learning_rate: Callable[[int], Any],
        timer: PhaseTimer,
        emit: Emit,
        history: TrainingHistory,
        keep: Callable[[], None],
        sample: Callable[[], Sample],
        scored: Callable[[], AbstractContextManager[None]] = nullcontext,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.history, self._keep = history, keep
        self._spec, self._score, self._running, self._learning_rate = spec, score, running, learning_rate
        self._timer, self._emit, self._sample, self._scored = timer, emit, sample, scored
        self._classes = classes
        self._step, self._epoch = history.steps, history.epochs
        self._compiled = False
        self._window_start: tuple[int, Sample] | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._epoch_started, self._epoch_step = epoch + 1, time.perf_counter(), self._step
        self._cpu_since = time.process_time()
        self._window_start = (self._step, self._sample()) if self._compiled else None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += self._spec.train.steps_per_execution
        if not self._compiled:
            self._compiled = True
            loss = self._sync(logs)
            self._timer.move("train", "compile", time.perf_counter() - self._epoch_started)
            self._cpu_since = time.process_time()
            self._window_start = (self._step, self._sample())
            self._emit({"event": "step", "epoch": self._epoch, "step": self._step, "loss": loss})
        elif self._window_start and self._step - self._window_start[0] >= self._spec.eval.window_steps:
            loss = self._sync(logs)
            self._close_window(loss)
        else:
            self._emit({"event": "alive"})

    def _sync(self, logs: Any) -> float:
        """Wait for the device and read the epoch's mean loss so far.

        Raises:
            Diverged: the loss is not finite.
        """
        loss = float(np.asarray(logs["loss"]))
        if not math.isfinite(loss):
            scale = getattr(self.model.optimizer, "dynamic_scale", getattr(self.model.optimizer, "loss_scale", None))
            scale = None if scale is None else float(np.asarray(scale))
            raise Diverged(self._epoch, self._step, self.history.last_finite_loss, scale)
        self.history.last_finite_loss = loss
        return loss

    def _close_window(self, loss: float) -> None:
        """Add the window that ends to the history, its images/s and its state, and begin the next."""
        assert self._window_start is not None
        step, since = self._window_start
        now = self._sample()
        rate = (self._step - step) * self._spec.train.batch_size / (now.wall - since.wall)
        self.history.windows.append(rate)
        self.history.states.append(disturbances.between(since, now))
        self._window_start = (self._step, now)
        self._emit({"event": "step", "epoch": self._epoch, "step": self._step, "loss": loss, "images_per_second": rate})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss = self._sync(logs)
        seconds = time.perf_counter() - self._epoch_started
        self.history.cpu_seconds += time.process_time() - self._cpu_since
        with self._timer.phase("eval"), self._scored():
            scores = self._score()
            if scores is not None:
                self._remember(scores)
        confusion = self._running.counts()
        iou = class_iou(confusion)
        entry: dict[str, Any] = {
            "epoch": self._epoch,
            "step": self._step,
            "images": self._step * self._spec.train.batch_size,
            "learning_rate": float(self._learning_rate(self._step - 1)),
            "seconds": seconds,
            "images_per_second": (self._step - self._epoch_step) * self._spec.train.batch_size / seconds,
            "train": {
                "loss": loss,
                "miou": float(np.nanmean(iou)) if not np.isnan(iou).all() else None,
                "pixel_accuracy": float(np.trace(confusion) / max(1, confusion.sum())),
            },
            "val": {name: scores.as_dict()[name] for name in EPOCH_METRICS} if scores is not None else {},
        }
        self.history.history.append(entry)
        self._keep()
        told = {"event": "epoch", "epoch": self._epoch, "step": self._step, "loss": loss}
        told["learning_rate"] = entry["learning_rate"]
        if scores is not None:
            told |= {"miou": entry["val"]["miou"], "iou": self._known_iou(entry["val"]["iou"])}
        self._emit(told)
        if self._spec.train.until and self.history.target:
            self.model.stop_training = True

    def _known_iou(self, values: Sequence[float]) -> dict[str, float]:
        """Return the IoU of the classes that occur in the split, by their names."""
        return {name: value for name, value in zip(self._classes, values, strict=False) if not math.isnan(value)}

    def _remember(self, scores: Scores) -> None:
        """Update the best and last scores, the best weights and the target."""
        history, miou = self.history, scores.as_dict()["miou"]
        history.last_scores = scores
        best = history.best_scores.as_dict()["miou"] if history.best_scores else -math.inf
        if miou > best or history.best_scores is None:
            history.best_epoch, history.best_scores = self._epoch, scores
            if self._spec.eval.keep_checkpoint == "best":
                history.best_weights = self.model.get_weights()
        if self._spec.target is None or history.target:
            return
        metric, value = self._spec.target
        if scores.as_dict()[metric] >= value:
            # Training time alone, as in AlgoPerf: compilation and evaluation are separate phases.
            history.target = {
                "epoch": self._epoch, "steps": self._step,
                "seconds": self._timer.elapsed("train"), "cpu_seconds": history.cpu_seconds,
            }  # fmt: skip
