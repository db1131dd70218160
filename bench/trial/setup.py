"""All that comes before the first step of a trial: devices, data, model, loss, optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

import models
from bench import data
from bench.core import UsageError
from bench.data import Dataset, pipeline
from bench.spec import TrialSpec, initial_weights
from bench.trial import objective, optimizers
from bench.trial.evaluator import Evaluator
from bench.trial.facts import Emit, Facts, ignore
from bench.trial.metrics import RunningConfusion
from bench.trial.strategy import make_strategy


@dataclass(frozen=True)
class Prepared:
    """A trial before its first step.

    `training_model` is what `fit` sees, compiled; `model` is what everything else sees. They share their layers.
    `evaluation` has the finite batches of each split that is scored, by name.
    """

    spec: TrialSpec
    strategy: tf.distribute.Strategy
    dataset: Dataset
    crops: pipeline.Crops
    evaluation: dict[str, tf.data.Dataset]
    training_model: keras.Model
    model: keras.Model
    objective: objective.Objective
    learning_rate: optimizers.WarmupDecay
    running: RunningConfusion
    evaluator: Evaluator

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.dataset.class_names)

    def batches(self, steps: int, first: int = 0) -> tf.data.Dataset:
        """Return the training batches `first` to `steps` of the trial, of all replicas together."""
        return pipeline.train(self.crops, self.spec.train.batch_size, steps, first=first)


def setup(spec: TrialSpec, facts: Facts, emit: Emit = ignore) -> Prepared:
    """Make a trial ready for its first step.

    Args:
        spec: the whole specification; `train.precision` must be resolved.
        facts: the environment, the data set and the loss are added.
        emit: called with a sign of life after each batch of an evaluation.

    Raises:
        UsageError: devices, data, weights or a parameter of the loss are not as the spec has them.
    """
    strategy = _start(spec, facts)
    with facts.timer.part("data"):
        dataset = _load(spec, facts)
        crops = pipeline.Crops(dataset.splits["train"], spec.data, spec.seed)
        evaluation = _evaluation(spec, dataset)
    with facts.timer.part("model"):
        return _build(spec, strategy, dataset, crops, evaluation, facts, emit)


def _start(spec: TrialSpec, facts: Facts) -> tf.distribute.Strategy:
    """Set what holds for the whole process: seed, determinism, precision, devices."""
    keras.utils.set_random_seed(spec.seed)
    if spec.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(spec.train.precision)
    strategy = make_strategy(spec.placement)
    gpus = tf.config.list_physical_devices("GPU") if spec.placement.gpus else []
    facts.environment |= {
        "device": "gpu" if spec.placement.gpus else "cpu",
        "replicas": strategy.num_replicas_in_sync,
        "precision": spec.train.precision,
        "gpu_names": [tf.config.experimental.get_device_details(gpu).get("device_name", "unknown") for gpu in gpus],
    }
    if spec.placement.gpus:  # on which float32 may be computed with 10 bits
        facts.environment["tensor_float_32"] = tf.config.experimental.tensor_float_32_execution_enabled()
    return strategy


def _load(spec: TrialSpec, facts: Facts) -> Dataset:
    dataset = data.load(spec.data)
    for note in dataset.notes:
        print(note, flush=True)
    facts.dataset = {
        "name": dataset.name,
        "version": dataset.version,
        "class_names": list(dataset.class_names),
        "colors": [list(color) for color in dataset.colors],
        "ignore_index": dataset.ignore_index,
        "images": {name: len(split) for name, split in dataset.splits.items()},
    }
    return dataset


def _evaluation(spec: TrialSpec, dataset: Dataset) -> dict[str, tf.data.Dataset]:
    # Filled up to a multiple of the replicas: a shorter last batch crashes the strategy.
    replicas = spec.placement.replicas
    batch = -(-spec.eval.batch_size // replicas) * replicas
    square = models.BACKBONES[spec.model.backbone].one_size
    return {
        name: pipeline.evaluation(split, spec.data, batch, square, replicas)
        for name, split in dataset.splits.items()
        if name != "train"
    }


def _build(
    spec: TrialSpec,
    strategy: tf.distribute.Strategy,
    dataset: Dataset,
    crops: pipeline.Crops,
    evaluation: dict[str, tf.data.Dataset],
    facts: Facts,
    emit: Emit,
) -> Prepared:
    classes = len(dataset.class_names)
    with strategy.scope():
        training_model, model = _models(spec, classes)
        rate = optimizers.learning_rate(spec.train)
        loss = objective.build(spec.loss, crops.labels(), classes, spec.model.auxiliary_weight)
        facts.objective = loss.facts
        running = RunningConfusion(classes)
        training_model.compile(
            optimizer=optimizers.build(spec.train),
            loss=loss.train_loss,
            metrics=[running],
            jit_compile=spec.train.jit_compile,
            run_eagerly=spec.train.eager,
            steps_per_execution=spec.train.steps_per_execution,
        )
        optimizers.make_variables(training_model.optimizer, training_model.trainable_variables)

    def alive() -> None:
        emit({"event": "alive"})

    evaluator = Evaluator(model, loss.eval_loss, classes, strategy, spec.eval.published, alive)
    return Prepared(
        spec, strategy, dataset, crops, evaluation, training_model, model, loss, rate, running, evaluator
    )  # fmt: skip


def _models(spec: TrialSpec, classes: int) -> tuple[keras.Model, keras.Model]:
    """Build the model that is trained and the one that is scored, with their first weights."""
    try:
        training_model, model = models.build_training(spec.model, classes, seed=spec.seed)
    except ValueError as error:  # such as weights of another architecture
        raise UsageError(models.in_a_line(error)) from error
    if spec.train.init_from:
        _load_weights(model, spec.train.init_from)
    if spec.train.freeze == "backbone":
        model.get_layer(models.BACKBONE).trainable = False
    return training_model, model


def _load_weights(model: Any, source: str) -> None:
    """Start from a weights file or an earlier trial's folder.

    Raises:
        UsageError: nothing there, or weights of another architecture.
    """
    path = initial_weights(source)
    try:
        model.load_weights(str(path))
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(f"train.init_from: {path} does not fit this model: {models.in_a_line(error)}") from error
