"""All that comes before the first step of a trial: devices, data, model, loss, optimiser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import models
from bench import data
from bench.core import UsageError, settle_keras
from bench.data import Dataset, pipeline
from bench.spec import TrialSpec, check_architecture, initial_weights, steps_before_release
from bench.trial import objective, optimizers
from bench.trial.averages import WeightAverage
from bench.trial.evaluator import Evaluator
from bench.trial.facts import Emit, Facts, ignore
from bench.trial.hosts import Hosts
from bench.trial.metrics import RunningConfusion
from bench.trial.strategy import make_strategy, own_gpus


@dataclass(frozen=True)
class Prepared:
    """A trial before its first step.

    Attributes:
        spec: the whole specification.
        strategy: the devices.
        dataset: all splits.
        crops: the samples that are trained on.
        evaluation: finite batches of each split that is scored, by name.
        training_model: the compiled model for `fit`.
        model: the model for everything else; it shares the layers of `training_model`.
        objective: the loss.
        learning_rate: its schedule.
        running: the confusion matrix of the training batches of an epoch.
        evaluator: scores `model`.
        average: of the weights of `training_model`, which is scored in place of them; None if there is none.
        hosts: that train it together.
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
    average: WeightAverage | None = None
    hosts: Hosts = field(default_factory=Hosts)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.dataset.class_names)

    @property
    def pictured(self) -> list[int]:
        """The evenly spaced images, of the split that judges the trial, that the report shows, by index."""
        images = len(self.dataset.splits[self.scored])
        shown = np.linspace(0, images - 1, min(images, self.spec.eval.pictures))
        return np.unique(shown.round().astype(int)).tolist()

    @property
    def scored(self) -> str:
        """The name of the split on which the trial is judged: val, or test if val is trained on."""
        return "val" if "val" in self.evaluation else "test"

    def batches(self, steps: int, first: int = 0, crop: int | None = None) -> tf.data.Dataset:
        """Return this host's share of the training batches of the steps from `first` up to, but without, `steps`.

        Args:
            steps, first: numbers of steps of the whole training.
            crop: side of the crops in pixels; None for `data.crop`.
        """
        crops = self.crops if crop is None else self.crops.of_side(crop)
        share = {"worker": self.hosts.index, "workers": self.hosts.count}
        return pipeline.train(crops, self.spec.train.batch_size, steps, first=first, **share)


def setup(spec: TrialSpec, facts: Facts, emit: Emit = ignore, hosts: Hosts | None = None) -> Prepared:
    """Make a trial ready for its first step.

    Args:
        spec: the whole specification; `train.precision` must be resolved.
        facts: gets the environment, the data set and the loss.
        emit: called with a sign of life after each batch of an evaluation.
        hosts: that train it together; None for this one alone.

    Raises:
        UsageError: devices, data, weights or a parameter of the loss are not as the spec requires.
    """
    hosts = hosts or Hosts()
    strategy = _start(spec, facts, hosts)
    if hosts.count > 1:
        facts.environment["hosts"] = hosts.names()
    with facts.timer.part("data"):
        dataset = _load(spec, facts)
        crops = pipeline.Crops(dataset.training(spec.data.trained), spec.data, spec.seed)
        evaluation = _evaluation(spec, dataset, hosts)
    with facts.timer.part("model"):
        return _build(spec, strategy, dataset, crops, evaluation, facts, emit, hosts)


def _start(spec: TrialSpec, facts: Facts, hosts: Hosts) -> tf.distribute.Strategy:
    """Set seed, determinism, precision and devices of the whole process; return the strategy."""
    settle_keras()  # before code of the user's own is imported, which may set the variable again
    keras.utils.set_random_seed(spec.seed)
    if spec.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(spec.train.precision)
    if hosts.count > 1:
        own_gpus(spec.placement)  # what is wrong with them is told to the others, which are not yet connected
        hosts.meet()
    strategy = make_strategy(spec.placement)
    gpus = tf.config.list_physical_devices("GPU") if spec.placement.gpus else []
    facts.environment |= {
        "device": "gpu" if spec.placement.gpus else "cpu",
        "replicas": strategy.num_replicas_in_sync,
        "precision": spec.train.precision,
        "gpu_names": [tf.config.experimental.get_device_details(gpu).get("device_name", "unknown") for gpu in gpus],
    }
    if spec.placement.gpus:  # on GPUs float32 products may be computed with 10 bits of mantissa
        facts.environment["tensor_float_32"] = tf.config.experimental.tensor_float_32_execution_enabled()
    return strategy


def _load(spec: TrialSpec, facts: Facts) -> Dataset:
    """Load the data set and print its notes."""
    dataset = data.load(spec.data)
    for note in dataset.notes:
        print(note, flush=True)
    facts.dataset = dataset.described()
    return dataset


def _evaluation(spec: TrialSpec, dataset: Dataset, hosts: Hosts) -> dict[str, tf.data.Dataset]:
    """Return this host's share of the finite batches of each split that is scored, by name."""
    # The batch size is rounded up to a multiple of the replicas: a shorter last batch crashes the strategy.
    replicas = spec.placement.replicas
    batch = -(-spec.eval.batch_size // replicas) * replicas
    square = models.row_of(spec.model.backbone).fixed_size
    return {
        name: pipeline.evaluation(split, spec.data, batch, square, replicas, worker=hosts.index, workers=hosts.count)
        for name, split in dataset.splits.items()
        if name not in spec.data.trained
    }


def _build(
    spec: TrialSpec,
    strategy: tf.distribute.Strategy,
    dataset: Dataset,
    crops: pipeline.Crops,
    evaluation: dict[str, tf.data.Dataset],
    facts: Facts,
    emit: Emit,
    hosts: Hosts,
) -> Prepared:
    """Build model, loss, optimiser and evaluator in the scope of the strategy."""
    classes = len(dataset.class_names)
    with strategy.scope():
        training_model, model = _models(spec, classes)
        rate = optimizers.learning_rate(spec.train)
        loss = objective.build(spec.loss, crops.labels(), classes, spec.model.auxiliary_weight)
        facts.objective = loss.facts
        running = RunningConfusion(classes)
        training_model.compile(
            optimizer=optimizers.build(spec.train, _backbone(spec, model)),
            loss=loss.train_loss,
            metrics=[running],
            jit_compile=spec.train.jit_compile,
            run_eagerly=spec.train.eager,
            steps_per_execution=spec.train.steps_per_execution,
        )
        if hosts.count > 1:  # Keras 2.15 adds the loss of a step up over the hosts, though each has that of all
            training_model.distribute_reduction_method = "first"
        optimizers.make_variables(training_model.optimizer, training_model.trainable_variables)

    def alive() -> None:
        emit({"event": "alive"})

    evaluator = Evaluator(model, loss.eval_loss, classes, strategy, spec.eval.published, alive, hosts=hosts)
    average = WeightAverage(training_model, spec.train.ema) if spec.train.ema else None
    return Prepared(
        spec, strategy, dataset, crops, evaluation, training_model, model, loss, rate, running, evaluator, average,
        hosts,
    )  # fmt: skip


def _backbone(spec: TrialSpec, model: keras.Model) -> list[Any]:
    """Return the variables of the backbone, if they have a learning rate of their own or begin to train later."""
    own = spec.train.backbone_rate != 1 or steps_before_release(spec.train)
    return model.get_layer(models.BACKBONE).trainable_variables if own else []


def _models(spec: TrialSpec, classes: int) -> tuple[keras.Model, keras.Model]:
    """Build the model that is trained and the model that is scored, with their initial weights."""
    check_architecture(spec.model)  # again, because this may be another machine than the one that planned
    try:
        training_model, model = models.build_training(spec.model, classes, seed=spec.seed)
    except ValueError as error:  # such as weights of another architecture
        raise UsageError(models.in_a_line(error)) from error
    if spec.train.init_from:
        _load_weights(model, spec.train.init_from)
    if spec.train.freeze == "backbone" and not steps_before_release(spec.train):
        model.get_layer(models.BACKBONE).trainable = False
    return training_model, model


def _load_weights(model: Any, source: str) -> None:
    """Load weights from a file or from an earlier trial's folder.

    Raises:
        UsageError: there are none, or they are of another architecture.
    """
    path = initial_weights(source)
    try:
        model.load_weights(str(path))
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(f"train.init_from: {path} does not fit this model: {models.in_a_line(error)}") from error
