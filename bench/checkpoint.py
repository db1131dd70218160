"""Where a training stands after an epoch, on disk: enough to go on as if nothing had happened.

One file of plain arrays and JSON, written as a whole and renamed: nothing in it is unpickled. No TensorFlow here.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import results

if TYPE_CHECKING:
    from bench.training import Trace

FILE = "resume.npz"
_SCORES = ("best_scores", "last_scores")


@dataclass(frozen=True)
class Checkpoint:
    """`state` is plain data; `arrays` has lists of arrays by group."""

    state: dict[str, Any]
    arrays: Mapping[str, Sequence[np.ndarray]]


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a trial, in one step."""
    flat = {f"{group}/{i}": array for group, arrays in checkpoint.arrays.items() for i, array in enumerate(arrays)}
    buffer = io.BytesIO()
    flat["state"] = np.frombuffer(json.dumps(checkpoint.state, default=float).encode(), np.uint8)
    np.savez(buffer, **flat)  # type: ignore[arg-type]
    results.write_bytes(folder / FILE, buffer.getvalue())


def read(folder: Path) -> Checkpoint | None:
    """The checkpoint of a trial; None when there is none, or none that can be read."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as file:
            state = json.loads(file["state"].tobytes())
            arrays: dict[str, list[np.ndarray]] = {}
            for name in file.files:  # in the order of writing
                group, slash, _ = name.partition("/")
                if slash:
                    arrays.setdefault(group, []).append(file[name])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Checkpoint(state, arrays)


def remove(folder: Path) -> None:
    (folder / FILE).unlink(missing_ok=True)


def of_training(model: Any) -> dict[str, list[np.ndarray]]:
    """Weights, optimizer with its loss scale and step, and steps of the dropout of a compiled model."""
    from models.dropout import dropouts

    return {
        "model": model.get_weights(),
        "optimizer": [np.asarray(variable.numpy()) for variable in _variables(model.optimizer)],
        "dropout": [np.asarray(layer.steps.numpy()) for layer in dropouts(model)],
    }


def restore_training(model: Any, arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Put `of_training` back into a model built and compiled in the same way; under a strategy, in its scope.

    Raises:
        ValueError: it was not.
    """
    from bench.optimizers import make_variables
    from models.dropout import dropouts

    model.set_weights(arrays["model"])
    make_variables(model.optimizer, model.trainable_variables)
    for variable, value in zip(_variables(model.optimizer), arrays.get("optimizer", ()), strict=True):
        variable.assign(value)
    for layer, value in zip(dropouts(model), arrays.get("dropout", ()), strict=True):
        layer.steps.assign(value)


def _variables(optimizer: Any) -> list[Any]:
    # Of Keras's older kind, tensorflow-addons' wrappers hold those of the optimiser inside in `weights` alone.
    found = optimizer.weights if hasattr(optimizer, "_create_all_weights") else optimizer.variables
    scale: Any = getattr(optimizer, "_loss_scale", None)  # Keras 2.15 leaves it out of the variables
    extra = [scale.current_loss_scale, scale.counter] if hasattr(scale, "counter") else []
    return [*(found() if callable(found) else found), *extra]


def of_trace(trace: Trace) -> Checkpoint:
    """What a training has seen so far."""
    state = {field.name: getattr(trace, field.name) for field in dataclasses.fields(trace)}
    arrays = {"best": state.pop("best_weights") or []}
    for name in _SCORES:
        scores = state[name]
        values = dataclasses.asdict(scores) if scores else {}
        arrays[name] = [value for value in values.values() if isinstance(value, np.ndarray)]
        state[name] = {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}
    return Checkpoint(state, arrays)


def trace_of(checkpoint: Checkpoint) -> Trace:
    """The inverse of `of_trace`; other state is passed over."""
    from bench.training import Trace

    fields = {field.name for field in dataclasses.fields(Trace)}
    state = {name: value for name, value in checkpoint.state.items() if name in fields}
    for name in _SCORES:
        state[name] = _scores(state[name], checkpoint.arrays.get(name, ()))
    return Trace(**state, best_weights=list(checkpoint.arrays.get("best", ())) or None)


def _scores(values: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> Any:
    from bench.evaluation import Scores

    if not values:
        return None
    of_arrays = [field.name for field in dataclasses.fields(Scores) if "ndarray" in str(field.type)]
    return Scores(**{**values, **dict(zip(of_arrays, arrays, strict=True))})
