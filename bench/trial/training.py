"""One `fit` under MirroredStrategy: devices, precision, the watching callback, and what it saw."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.core import UsageError
from bench.spec import Placement, TrainSpec, TrialSpec
from bench.trial.evaluator import Scores, class_iou, count_pairs, distribute, pairs
from bench.trial.timing import Clocks, steady_windows

Progress = Callable[[dict[str, Any]], None]


class Diverged(Exception):
    """The loss stopped being finite."""

    def __init__(self, epoch: int, step: int, last_finite: float | None, loss_scale: float | None) -> None:
        super().__init__(f"the loss is not finite at step {step} (epoch {epoch}); last finite value {last_finite}")
        self.epoch, self.step = epoch, step
        self.detail = {"last_finite": last_finite, "loss_scale": loss_scale}


def visible_gpus() -> int:
    """GPUs that TensorFlow sees in this process."""
    return len(tf.config.list_physical_devices("GPU"))


def make_strategy(placement: Placement) -> tf.distribute.Strategy:
    """MirroredStrategy over exactly the devices the trial was given.

    Raises:
        UsageError: TensorFlow does not see them.
    """
    if placement.gpus:
        gpus = tf.config.list_physical_devices("GPU")
        if len(gpus) != placement.gpus:
            raise UsageError(
                f"the trial was given {placement.gpus} GPU(s) but TensorFlow sees {len(gpus)}; "
                "install its CUDA libraries (`make venv CUDA=1`) or run with --gpus-per-trial 0"
            )
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        strategy = tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(len(gpus))])
    else:
        tf.config.set_visible_devices([], "GPU")
        cpu = tf.config.list_physical_devices("CPU")[0]
        if placement.cpu_replicas > 1:
            logical = [tf.config.LogicalDeviceConfiguration()] * placement.cpu_replicas
            tf.config.set_logical_device_configuration(cpu, logical)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(placement.cpu_replicas)])
    assert strategy.num_replicas_in_sync == placement.replicas, (strategy.num_replicas_in_sync, placement)
    return strategy


@keras.utils.register_keras_serializable(package="segmentation_bench")
class RunningConfusion(keras.metrics.Metric):
    """An integer confusion matrix over the batches of an epoch, summed over replicas; its result is the mIoU so far."""

    def __init__(self, classes: int, name: str = "miou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.matrix = self.add_weight(name="matrix", shape=(classes, classes), initializer="zeros", dtype="int64")
        # On a CPU the arg-max takes most of this metric's time; XLA makes one pass of it and what follows.
        self._pairs = tf.function(
            lambda truth, logits: pairs(truth, _arg_max(logits), classes),
            autograph=False,
            jit_compile=not tf.config.list_logical_devices("GPU"),
        )

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any = None) -> None:
        del sample_weight  # weights steer the training; every labelled pixel counts once
        y_pred = y_pred[:, 0] if len(y_pred.shape) == 5 else y_pred  # an auxiliary head's logits come second
        self.matrix.assign_add(tf.cast(count_pairs(self._pairs(y_true, y_pred), self.classes), tf.int64))

    def result(self) -> tf.Tensor:
        matrix = tf.cast(tf.convert_to_tensor(self.matrix), tf.float32)
        hit = tf.linalg.diag_part(matrix)
        union = tf.reduce_sum(matrix, 0) + tf.reduce_sum(matrix, 1) - hit
        seen = tf.cast(union > 0, tf.float32)
        return tf.reduce_sum(tf.math.divide_no_nan(hit, union)) / tf.maximum(1.0, tf.reduce_sum(seen))

    def reset_state(self) -> None:
        self.matrix.assign(tf.zeros((self.classes, self.classes), tf.int64))

    def counts(self) -> np.ndarray:
        """(C, C) int64, rows = truth."""
        return np.asarray(tf.convert_to_tensor(self.matrix))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


UNROLLED = 32


def _arg_max(logits: tf.Tensor) -> tf.Tensor:
    """(..., C) to (...) int32, the first among equals; of up to 32 classes an unrolled chain, which XLA vectorises."""
    classes = logits.shape[-1]
    if classes > UNROLLED or tf.config.list_logical_devices("GPU"):
        return tf.argmax(logits, -1, output_type=tf.int32)
    most = logits[..., 0]
    found = tf.zeros_like(most, tf.int32)
    for one in range(1, classes):
        value = logits[..., one]
        found, most = tf.where(value > most, one, found), tf.maximum(value, most)
    return found


@dataclass
class Trace:
    """What the callback saw."""

    history: list[dict[str, Any]] = field(default_factory=list)
    windows: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_scores: Scores | None = None
    best_weights: list[np.ndarray] | None = None
    last_scores: Scores | None = None
    seconds_to_target: float | None = None
    epoch_of_target: int | None = None
    last_finite_loss: float | None = None

    @property
    def epochs(self) -> int:
        return len(self.history)

    @property
    def steps(self) -> int:
        return self.history[-1]["step"] if self.history else 0


class Schedule(keras.callbacks.Callback):
    """Tells a loss that changes in the course of training how much of it is done, before every step."""

    _supports_tf_logs = True  # as in `Watch`

    def __init__(self, set_progress: Callable[[float], None], train: TrainSpec, done: int = 0) -> None:
        super().__init__()
        self._set_progress, self._train, self._done = set_progress, train, done

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._set_progress(self._done / (self._train.epochs * self._train.steps_per_epoch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._done += self._train.steps_per_execution


class Watch(keras.callbacks.Callback):
    """Times windows of steps with one host sync each, scores every epoch, keeps the best weights, stops on a NaN.

    Args:
        trace: what was seen so far, of a training that is taken up again; added to.
        keep: called after every epoch, when all of it is in the trace.
    """

    # Without this Keras 2 copies all logs to the host after every batch: the watching would slow what it times.
    _supports_tf_logs = True

    def __init__(
        self,
        spec: TrialSpec,
        score: Callable[[], Scores],
        running: RunningConfusion,
        rate: Any,
        clocks: Clocks,
        tell: Progress,
        trace: Trace,
        keep: Callable[[], None],
    ) -> None:
        super().__init__()
        self.trace, self._keep = trace, keep
        self._spec, self._score, self._running, self._rate = spec, score, running, rate
        self._clocks, self._tell = clocks, tell
        self._step, self._epoch = trace.steps, trace.epochs
        self._compiled = False
        self._window_start: tuple[int, float] | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._epoch_started, self._epoch_step = epoch + 1, time.perf_counter(), self._step
        self._window_start = (self._step, time.perf_counter()) if self._compiled else None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += self._spec.train.steps_per_execution
        if not self._compiled:
            self._compiled = True
            loss = self._sync(logs)
            self._clocks.move("train", "compile", time.perf_counter() - self._epoch_started)
            self._window_start = (self._step, time.perf_counter())
            self._tell({"event": "step", "epoch": self._epoch, "step": self._step, "loss": loss})
        elif self._window_start and self._step - self._window_start[0] >= self._spec.eval.window_steps:
            loss = self._sync(logs)
            self._close_window(loss)
        else:
            self._tell({"event": "alive"})

    def _sync(self, logs: Any) -> float:
        """Wait for the device and read the epoch's mean loss so far.

        Raises:
            Diverged: it is not finite.
        """
        loss = float(np.asarray(logs["loss"]))
        if not math.isfinite(loss):
            scale = getattr(self.model.optimizer, "dynamic_scale", getattr(self.model.optimizer, "loss_scale", None))
            scale = None if scale is None else float(np.asarray(scale))
            raise Diverged(self._epoch, self._step, self.trace.last_finite_loss, scale)
        self.trace.last_finite_loss = loss
        return loss

    def _close_window(self, loss: float) -> None:
        assert self._window_start is not None
        step, since = self._window_start
        now = time.perf_counter()
        rate = (self._step - step) * self._spec.train.batch_size / (now - since)
        self.trace.windows.append(rate)
        self._window_start = (self._step, now)
        self._tell({"event": "step", "epoch": self._epoch, "step": self._step, "loss": loss, "images_per_second": rate})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss = self._sync(logs)
        seconds = time.perf_counter() - self._epoch_started
        with self._clocks.phase("eval"):
            scores = self._score()
        confusion = self._running.counts()
        iou = class_iou(confusion)
        entry: dict[str, Any] = {
            "epoch": self._epoch,
            "step": self._step,
            "images": self._step * self._spec.train.batch_size,
            "learning_rate": float(self._rate(self._step - 1)),
            "seconds": seconds,
            "images_per_second": (self._step - self._epoch_step) * self._spec.train.batch_size / seconds,
            "train": {
                "loss": loss,
                "miou": float(np.nanmean(iou)) if not np.isnan(iou).all() else None,
                "pixel_accuracy": float(np.trace(confusion) / max(1, confusion.sum())),
            },
            "val": {name: scores.as_dict()[name] for name in EPOCH_METRICS},
        }
        self.trace.history.append(entry)
        self._remember(scores)
        self._keep()
        self._tell(
            {"event": "epoch", "epoch": self._epoch, "step": self._step, "loss": loss, "miou": entry["val"]["miou"]}
        )

    def _remember(self, scores: Scores) -> None:
        trace, miou = self.trace, scores.as_dict()["miou"]
        trace.last_scores = scores
        best = trace.best_scores.as_dict()["miou"] if trace.best_scores else -math.inf
        if miou > best or trace.best_scores is None:
            trace.best_epoch, trace.best_scores = self._epoch, scores
            if self._spec.eval.keep_checkpoint == "best":
                trace.best_weights = self.model.get_weights()
        target = self._spec.eval.target_miou
        if target is not None and trace.epoch_of_target is None and miou >= target:
            trace.epoch_of_target = self._epoch
            # Training time alone, as AlgoPerf counts it: compile and evaluation have clocks of their own.
            trace.seconds_to_target = self._clocks.elapsed("train")


EPOCH_METRICS = ("loss", "miou", "mean_dice", "pixel_accuracy", "mean_image_iou", "boundary_iou", "iou")


def steps_per_second(model: keras.Model, dataset: tf.distribute.DistributedDataset, steps: int, at_once: int) -> float:
    """Training steps a second on `dataset`, by a second `fit` of the compiled model (which goes on training it).

    Args:
        steps: to time, or the next multiple of `at_once`.
        at_once: steps of one execution.
    """
    executions = -(-steps // at_once)
    times: list[float] = []

    class Stopwatch(keras.callbacks.Callback):
        _supports_tf_logs = True
        done = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.done in (0, executions):
                float(np.asarray(logs["loss"]))
                times.append(time.perf_counter())
            self.done += 1

    model.fit(dataset, steps_per_epoch=(executions + 1) * at_once, epochs=1, callbacks=[Stopwatch()], verbose=0)
    first, last = times
    return executions * at_once / (last - first)


def share_statistics(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Give every replica the mean of all replicas' running statistics, which is what weights on disk hold.

    Each replica's own differ, as it sees images of its own: scores would depend on which replica scored an image, and
    a training that goes on from its weights would not be the one that never stopped.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    with strategy.scope():
        for variable in model.non_trainable_variables:
            if tf.as_dtype(variable.dtype).is_floating:
                variable.assign(variable.numpy())


RECALIBRATION = 0.95
"""Momentum of normalisation while its statistics are made anew: of 20 batches the last counts 2.6 times the first."""


def recalibrate(model: keras.Model, dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> None:
    """Batch-norm statistics by forward passes over a few batches: averaged weights have none of their own (Izmailov et
    al. 2018, arXiv 1803.05407), and those of the weights that were averaged say nothing of them."""
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "moving_variance") and layer.trainable]
    momenta = [layer.momentum for layer in layers]
    step = tf.function(
        lambda image: strategy.run(lambda x: model(tf.cast(x, tf.float32), training=True), args=(image,))
    )
    with strategy.scope():
        for layer in layers:
            layer.momentum = RECALIBRATION
            _scale_statistics(layer, 0.0)
        batches = 0
        for image, *_ in distribute(dataset, strategy):
            step(image)
            batches += 1
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            _scale_statistics(layer, 1 / (1 - RECALIBRATION**batches))  # as Adam does for its start at zero


def _scale_statistics(layer: Any, factor: float) -> None:
    for statistic in (layer.moving_mean, layer.moving_variance):
        statistic.assign(np.asarray(statistic) * np.float32(factor))


def throughput(spec: TrialSpec, windows: list[float], resident: float | None, shared: bool) -> dict[str, Any]:
    """The record's throughput: median of the steady windows, and the share of a step that waits for input.

    Args:
        windows: images/s of each window, in order.
        resident: images/s of the same step on one batch kept in memory, None when not measured.
        shared: whether other trials ran on the same cores.
    """
    steady = steady_windows(windows)
    rate = float(np.median(steady)) if steady else None
    reason = None
    if spec.train.eager:
        reason = "steps were not compiled (train.eager)"
    elif shared:
        reason = "trials ran side by side on the same cores"
    elif not steady:
        reason = f"the rate had not settled after {len(windows)} windows of {spec.eval.window_steps} steps"
    elif len(steady) < 3:
        reason = f"only {len(steady)} steady windows of {spec.eval.window_steps} steps"
    return {
        "images_per_second": rate,
        "windows": windows,
        "window_steps": spec.eval.window_steps,
        "batch_size": spec.train.batch_size,
        "replicas": spec.placement.replicas,
        "input_share": max(0.0, 1 - rate / resident) if rate and resident else None,
        "comparable": reason is None,
        "reason": reason,
    }
