"""What the model of a trial costs, for its record."""

from __future__ import annotations

import contextlib
import json
import traceback
from pathlib import Path
from typing import Any

import models
import results
from bench.core import cache_folder
from bench.spec import structure
from bench.trial.clocks import PhaseTimer
from bench.trial.setup import Prepared


def cost(prepared: Prepared, timer: PhaseTimer) -> dict[str, Any] | None:
    """Return the record's `cost`: parameters, and the GFLOP of the forward pass of one training image.

    To count operations the model is traced once more. The first trial of a model does so, and leaves the numbers in the
    user's cache folder. Returns None if the operations cannot be counted, such as those of a layer of the user's own:
    this must not cost the trial its scores.
    """
    side = prepared.spec.data.crop
    with timer.part("cost"):
        try:
            path = _file(prepared)
            found = _kept(path)
            if found is None:
                parameters, flops = models.forward_cost(prepared.model, (side, side))
                found = {"parameters": parameters, "forward_gflop": flops / 1e9, "size": side}
                with contextlib.suppress(OSError):  # the next trial then counts again
                    results.write_bytes(path, json.dumps(found).encode())
        except Exception:
            traceback.print_exc()
            return None
    return found


def _file(prepared: Prepared) -> Path:
    """Return the file of the user's cache that has the numbers of this model at this size and precision."""
    spec = prepared.spec
    name = f"{structure(spec.model)}-{prepared.classes}-{spec.data.crop}-{spec.train.precision}.json"
    return cache_folder() / "forward-costs" / name


def _kept(path: Path) -> dict[str, Any] | None:
    """Return the numbers of a file that an earlier trial wrote; None if there is none, or it holds something else."""
    try:
        return results.ModelCost.model_validate_json(path.read_bytes()).model_dump()
    except (OSError, ValueError):
        return None
