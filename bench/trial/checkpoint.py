"""From a training to its checkpoint and back: weights, optimiser, dropout and history."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import results
from bench.core import CHECKPOINT_FILE, Checkpoint, as_bytes
from bench.trial.evaluator import Scores
from bench.trial.monitor import TrainingHistory
from bench.trial.optimizers import make_variables
from models import dropouts

_SCORES = ("best_scores", "last_scores")


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a trial atomically."""
    results.write_bytes(folder / CHECKPOINT_FILE, as_bytes(checkpoint))


def of_training(model: Any) -> dict[str, list[np.ndarray]]:
    """Return a compiled model's weights, its optimiser with loss scale and step, and the steps of its dropouts."""
    return {
        "model": model.get_weights(),
        "optimizer": [np.asarray(variable.numpy()) for variable in _variables(model.optimizer)],
        "dropout": [np.asarray(layer.steps.numpy()) for layer in dropouts(model)],
    }


def restore_training(model: Any, arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Put the arrays of `of_training` back into a model that was built and compiled in the same way.

    Call it in the scope of the model's strategy.

    Raises:
        ValueError: the model was built or compiled in another way.
    """
    model.set_weights(arrays["model"])
    make_variables(model.optimizer, model.trainable_variables)
    for variable, value in zip(_variables(model.optimizer), arrays.get("optimizer", ()), strict=True):
        variable.assign(value)
    for layer, value in zip(dropouts(model), arrays.get("dropout", ()), strict=True):
        layer.steps.assign(value)


def _variables(optimizer: Any) -> list[Any]:
    """Return all variables of an optimiser, with those of its loss scale."""
    # Wrappers of tensorflow-addons have Keras's legacy API: the inner optimiser's variables are in `weights` alone.
    found = optimizer.weights if hasattr(optimizer, "_create_all_weights") else optimizer.variables
    scale: Any = getattr(optimizer, "_loss_scale", None)  # Keras 2.15 leaves it out of the variables
    extra = [scale.current_loss_scale, scale.counter] if hasattr(scale, "counter") else []
    return [*(found() if callable(found) else found), *extra]


def of_history(history: TrainingHistory) -> Checkpoint:
    """Return a history as plain data and arrays."""
    state = {field.name: getattr(history, field.name) for field in dataclasses.fields(history)}
    arrays = {"best": state.pop("best_weights") or []}
    for name in _SCORES:
        scores = state[name]
        values = dataclasses.asdict(dataclasses.replace(scores, predictions={})) if scores else {}
        arrays[name] = [value for value in values.values() if isinstance(value, np.ndarray)]
        state[name] = {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}
    return Checkpoint(state, arrays)


def history_of(checkpoint: Checkpoint) -> TrainingHistory:
    """Return the history that `of_history` wrote; other state is ignored."""
    fields = {field.name for field in dataclasses.fields(TrainingHistory)}
    state = {name: value for name, value in checkpoint.state.items() if name in fields}
    for name in _SCORES:
        state[name] = _scores(state[name], checkpoint.arrays.get(name, ()))
    return TrainingHistory(**state, best_weights=list(checkpoint.arrays.get("best", ())) or None)


def _scores(values: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> Any:
    """Return `Scores` from its plain values and its arrays, or None if there are no values."""
    if not values:
        return None
    of_arrays = [field.name for field in dataclasses.fields(Scores) if field.type == "np.ndarray"]
    # The checkpoint of an earlier version lacks the last ones, which have a default.
    return Scores(**{**values, **dict(zip(of_arrays, arrays, strict=False))})
