"""What the model of a trial costs, for its record."""

from __future__ import annotations

import traceback
from typing import Any

import models
from bench.trial.clocks import PhaseTimer
from bench.trial.setup import Prepared


def cost(prepared: Prepared, timer: PhaseTimer) -> dict[str, Any] | None:
    """Return the record's `cost`: parameters, and the GFLOP of the forward pass of one training image.

    Returns None if the operations cannot be counted, such as those of a layer of the user's own: this must not cost the
    trial its scores.
    """
    side = prepared.spec.data.crop
    with timer.part("cost"):
        try:
            parameters, flops = models.forward_cost(prepared.model, (side, side))
        except Exception:
            traceback.print_exc()
            return None
    return {"parameters": parameters, "forward_gflop": flops / 1e9, "size": side}
