"""What the models of a plan cost, worked out in other processes: TensorFlow stays out of this one, and off the GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

from bench.environment import prepare_process
from bench.errors import UsageError
from models import ModelSpec

if TYPE_CHECKING:
    from models.cost import Cost


class Sized(NamedTuple):
    """All that the cost of a model depends on; `size` is the side of a square image in pixels."""

    model: ModelSpec
    classes: int
    size: int
    precision: str


def costs(wanted: Iterable[Sized]) -> dict[Sized, Cost]:
    """The cost of each distinct model, in seconds for each after some seconds of start.

    Raises:
        UsageError: a model that cannot be built or cannot take its image.
    """
    distinct = list(dict.fromkeys(wanted))
    workers = min(len(distinct), os.cpu_count() or 1, 4)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_prepare) as pool:
        try:
            return dict(zip(distinct, pool.map(_cost, distinct), strict=True))
        except ValueError as error:
            raise UsageError(f"a model of the plan cannot be built: {str(error).splitlines()[0]}") from None


def _prepare() -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    prepare_process()
    # Imports greet; what goes wrong comes back as an exception.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)


def _cost(wanted: Sized) -> Cost:
    import keras

    from models.cost import cost

    keras.mixed_precision.set_global_policy(wanted.precision)
    return cost(wanted.model, wanted.classes, wanted.size)
