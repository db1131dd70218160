"""What a training goes on from: the loss scale of float16 is part of it. Whole trainings: tests/faults."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from bench.core import Checkpoint, keras_version, read_checkpoint
from bench.data import Slice
from bench.spec import TrainSpec
from bench.trial import checkpoint, make_variables, optimizers
from bench.trial.evaluator import Scores
from bench.trial.monitor import TrainingHistory
from bench.trial.optimizers import Adam

INPUT = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
TRUTH = INPUT.sum(1, keepdims=True)


@pytest.fixture(autouse=True)
def _half_precision() -> Iterator[None]:
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")


def _model(optimizer: Any = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1, dtype="float32")])
    model.compile(optimizer or Adam(0.01), "mse")
    return model


def _scale(model: keras.Model) -> float:
    optimizer = model.optimizer
    return float(np.asarray(getattr(optimizer, "dynamic_scale", getattr(optimizer, "loss_scale", None))))


def test_the_loss_scale_goes_on_where_it_was(tmp_path):
    model = _model()
    make_variables(model.optimizer, model.trainable_variables)
    model.train_on_batch(INPUT, TRUTH)
    before = _scale(model)
    model.train_on_batch(1e4 * INPUT, 1e9 * TRUTH)  # more than float16 holds: no update, and half the scale
    assert _scale(model) == before / 2
    checkpoint.write(tmp_path, Checkpoint({}, checkpoint.of_training(model)))

    other = _model()
    make_variables(other.optimizer, other.trainable_variables)  # as in a trial
    checkpoint.restore_training(other, read_checkpoint(tmp_path).arrays)
    assert _scale(other) == before / 2
    for one in (model, other):
        one.train_on_batch(INPUT, TRUTH)
    for one, other_one in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other_one)


@pytest.mark.skipif(
    not keras_version.has_addons(), reason="the wrappers come from tensorflow-addons, which ends at Python 3.11"
)
@pytest.mark.parametrize("wrapper", ["lookahead", "swa"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_optimiser_inside_a_wrapper_goes_on_where_it_was(tmp_path, wrapper, policy):
    keras.mixed_precision.set_global_policy(policy)
    train = TrainSpec(epochs=2, steps_per_epoch=8, optimizer="adam", wrapper=wrapper, learning_rate=0.1)
    one, other = (_model(optimizers.build(train)) for _ in range(2))
    for _ in range(9):
        one.train_on_batch(INPUT, TRUTH)
    checkpoint.write(tmp_path, Checkpoint({}, checkpoint.of_training(one)))
    checkpoint.restore_training(other, read_checkpoint(tmp_path).arrays)
    for model in (one, other):
        for _ in range(3):
            model.train_on_batch(INPUT, TRUTH)
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.skipif(
    not keras_version.has_addons(), reason="SWA comes from tensorflow-addons, which ends at Python 3.11"
)
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_averages_are_reached_through_a_loss_scale(policy):
    keras.mixed_precision.set_global_policy(policy)
    train = TrainSpec(epochs=1, steps_per_epoch=8, optimizer="sgd", wrapper="swa", learning_rate=0.01)
    model, seen = _model(optimizers.build(train)), []
    for _ in range(8):
        model.train_on_batch(INPUT, TRUTH)
        seen.append(model.get_weights()[0])
    optimizers.average_weights(model.optimizer, model.trainable_variables)
    kernels = np.array(seen)
    assert not np.array_equal(model.get_weights()[0], kernels[-1])
    assert (model.get_weights()[0] <= kernels.max(0) + 1e-6).all()
    assert (model.get_weights()[0] >= kernels.min(0) - 1e-6).all()


def test_scores_go_on_without_their_label_maps():
    scores = Scores(np.eye(2, dtype=int), np.eye(2, dtype=int), np.array([0.5]), 0.25, 1, 2.0)
    shown = dataclasses.replace(scores, predictions={0: np.zeros((2, 3), np.uint8)})
    found = checkpoint.history_of(checkpoint.of_history(TrainingHistory(best_scores=shown, last_scores=scores)))
    assert (found.best_scores.predictions, found.last_scores.predictions) == ({}, {})
    assert found.best_scores.as_dict() == scores.as_dict()


def test_scores_go_on_with_their_slices_and_those_of_earlier_versions_without():
    slices = [Slice("time", "day", np.array([0]))]
    scores = Scores(
        np.eye(2, dtype=int), np.eye(2, dtype=int), np.array([0.5]), 0.25, 1, 2.0, slices=np.ones((1, 2, 2))
    )
    kept = checkpoint.of_history(TrainingHistory(best_scores=scores, last_scores=scores))
    (row,) = checkpoint.history_of(kept).best_scores.as_dict(slices=slices)["slices"]
    assert (row["value"], row["confusion"]) == ("day", [[1, 1], [1, 1]])
    kept.arrays["best_scores"] = kept.arrays["best_scores"][:3]
    found = checkpoint.history_of(kept).best_scores
    assert found.as_dict(slices=slices)["slices"] == []
    assert found.as_dict()["miou"] == scores.as_dict()["miou"]
