"""A trial's `fit` compared with a bare loop over the same step; and the cost of its metric.

    python -m bench.perf.training [--set FIELD=VALUE] [--steps 20] [--rounds 7] [--json FILE]

Both sides train the same model with the same loss on one batch in memory. `fit` is that of a trial, with the strategy,
the monitoring callback and the running confusion matrix. The bare side is a `tf.function` with a gradient tape, called
in a loop. After that the confusion matrix alone is compared with the step that it is part of, and with
`keras.metrics.MeanIoU`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import keras
import tensorflow as tf
import typer

import models
from bench.core import UsageError, command, start
from bench.perf.ratios import Ratio, report
from bench.perf.rounds import quartiles, times
from bench.plan import default_precision, single
from bench.spec import TrialSpec
from bench.trial import RunningConfusion, distribute, objective, optimizers
from bench.trial.facts import Facts, ignore
from bench.trial.machine_watch import MachineWatch
from bench.trial.monitor import TrainingHistory, TrainingMonitor
from bench.trial.setup import Prepared, setup

UPDATES = 20  # of the metric per measurement


def with_fit(prepared: Prepared, facts: Facts, batch: tf.data.Dataset, steps: int) -> Callable[[], object]:
    """Return a function that runs an epoch of `steps` steps as a trial does, without the evaluation at its end."""
    batches = distribute(batch, prepared.strategy)
    scores = prepared.evaluator(prepared.evaluation["val"])

    def epoch() -> None:
        with MachineWatch(prepared.spec.placement.gpus) as watch:
            monitor = TrainingMonitor(
                prepared.spec, lambda: scores, prepared.running, prepared.learning_rate, facts.timer, ignore,
                TrainingHistory(), lambda: None, watch.sample,
            )  # fmt: skip
            prepared.training_model.fit(batches, epochs=1, steps_per_epoch=steps, callbacks=[monitor], verbose=0)

    return epoch


def bare(prepared: Prepared, batch: tf.data.Dataset, steps: int) -> Callable[[], object]:
    """Return a function that runs `steps` steps in a loop, on a separate model.

    It uses nothing of Keras but layers and optimiser: no strategy, no callback, no metric.
    """
    spec = prepared.spec
    model, _ = models.build_training(spec.model, prepared.classes, seed=spec.seed)
    labels = prepared.crops.labels()
    loss = objective.build(spec.loss, labels, prepared.classes, spec.model.auxiliary_weight).train_loss
    optimizer = optimizers.build(spec.train)

    @tf.function
    def step(image: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss.call(label, model(image, training=True)))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
        return value

    def loop() -> float:
        for image, label in batch.take(steps):
            value = step(image, label)
        return float(value)

    return loop


def metrics(prepared: Prepared, batch: tf.data.Dataset) -> dict[str, Callable[[], object]]:
    """Return functions that do `UPDATES` updates of our metric and of Keras's, with the logits of the batch."""
    image, label = next(iter(batch))
    logits = prepared.model(image, training=False)
    sides: dict[str, Any] = {
        "ours": RunningConfusion(prepared.classes),
        "keras": keras.metrics.MeanIoU(prepared.classes, ignore_class=255, sparse_y_pred=False),
    }

    def updates(metric: Any) -> Callable[[], object]:
        @tf.function
        def update(label: tf.Tensor, logits: tf.Tensor) -> None:
            metric.update_state(label, logits)  # Keras 2 returns an operation, which a graph cannot

        return lambda: [update(label, logits) for _ in range(UPDATES)] and float(metric.result())

    return {name: updates(metric) for name, metric in sides.items()}


def compare(spec: TrialSpec, steps: int, rounds: int) -> list[Ratio]:
    """Time both sides and the metric in turns, and return the ratios."""
    facts = Facts()
    ours = setup(spec, facts)
    batch = ours.batches(1).cache().repeat()
    sides = {"ours": with_fit(ours, facts, batch, steps), "bare": bare(ours, batch, steps)}
    seconds = times(sides, rounds, warm_up=2)
    updates = times(metrics(ours, batch), rounds)
    step = {name: statistics.median(values) / steps for name, values in seconds.items()}
    update = {name: 1e3 * statistics.median(values) / UPDATES for name, values in updates.items()}
    images = spec.train.batch_size
    size = f"{spec.model.backbone}, {images} x {spec.data.crop} px"
    return [
        Ratio(f"training, {size}", "images/s", images / step["ours"], "a bare tf.function loop", images / step["bare"],
              at_least=0.97, spread=quartiles(seconds["bare"], seconds["ours"])),
        Ratio(f"confusion matrix, {ours.classes} classes", "ms", update["ours"], "keras.metrics.MeanIoU",
              update["keras"], at_most=0.1, spread=quartiles(updates["ours"], updates["keras"])),
        Ratio(f"confusion matrix, {ours.classes} classes", "ms", update["ours"], "the training step",
              1e3 * step["bare"], at_most=0.01),
    ]  # fmt: skip


@command
def main(
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    steps: Annotated[int, typer.Option(min=2, help="Steps of one measurement.")] = 20,
    rounds: Annotated[int, typer.Option(min=3)] = 7,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Compare `fit` with a bare loop; exit status 1 when a bar is missed."""
    spec = single(set_ or [], "quick", default_precision(0, []))
    if spec.data.pixel_weights != "none" or spec.train.jit_compile:
        raise UsageError("--set: the bare loop has neither data.pixel_weights nor train.jit_compile; leave them out")
    return report(compare(spec, steps, rounds), out)


if __name__ == "__main__":
    start(main)
