"""What the models of a plan cost. Other processes compute it, so that this one imports no TensorFlow and uses no GPU.

A cost never changes, so it is kept in the user's cache folder, under a hash of all that it depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import results
from bench.core import UsageError, cache_folder, machine_cores, own_code, prepare_process
from bench.spec import own_names, structure
from models import Cost, ModelSpec


class Sized(NamedTuple):
    """All that the cost of a model depends on; `size` is the side of a square image in pixels."""

    model: ModelSpec
    classes: int
    size: int
    precision: str


def costs(wanted: Iterable[Sized], progress: Callable[[int, int], object] = lambda done, of: None) -> dict[Sized, Cost]:
    """Return the cost of each distinct model. One that is not in the cache takes seconds, after seconds of start-up.

    Args:
        wanted: models, each as often as it occurs.
        progress: called with the number of models that are done, and of those that are not in the cache.

    Raises:
        UsageError: a model cannot be built or cannot take its image.
    """
    distinct = list(dict.fromkeys(wanted))
    found = {one: cost for one in distinct if (cost := _kept(one))}
    missing = [one for one in distinct if one not in found]
    if missing:
        workers = min(len(missing), machine_cores(), 4)
        own = [name for one in missing for name in own_names(one.model)]
        told = (own, own_code.places())
        progress(0, len(missing))
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_prepare, initargs=told) as pool:
            try:
                for done, (one, cost) in enumerate(zip(missing, pool.map(_cost, missing), strict=True), 1):
                    found[one] = cost
                    _keep(one, cost)
                    progress(done, len(missing))
            except (ValueError, TypeError, ImportError, AttributeError) as error:  # of code of the user's own, too
                raise UsageError(f"a model of the plan cannot be built: {str(error).splitlines()[0]}") from None
    return found


class Speed(NamedTuple):
    """What a process of this machine takes: seconds until a model has run once, and of a forward pass of a batch."""

    start_s: float
    forward_s: float


def measured(one: Sized, batch: int) -> Speed:
    """Measure a model once on the CPU of this machine, in a process of its own.

    Args:
        one: the model and the size of its image.
        batch: images per batch.

    Raises:
        UsageError: the model cannot be built or cannot take its image.
    """
    told = (own_names(one.model), own_code.places())
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_prepare, initargs=told) as pool:
        try:
            return pool.submit(_measure, one, batch).result()
        except (ValueError, TypeError, ImportError, AttributeError) as error:  # of code of the user's own, too
            raise UsageError(f"a model of the plan cannot be built: {str(error).splitlines()[0]}") from None


def _path(one: Sized) -> Path:
    """Return the file of a model's cost in the cache."""
    text = json.dumps([structure(one.model), *one[1:]])
    return cache_folder() / "costs" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _kept(one: Sized) -> Cost | None:
    """Return the cost of a model from the cache, or None if it is not there."""
    try:
        return Cost(**json.loads(_path(one).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _keep(one: Sized, cost: Cost) -> None:
    """Write a cost into the cache. A folder that cannot be written is ignored; the next run then computes it again."""
    with contextlib.suppress(OSError):
        results.write_bytes(_path(one), json.dumps(asdict(cost)).encode())


def _prepare(own: Iterable[str], folders: Iterable[Path]) -> None:
    """Prepare a worker process: no GPU, no output, and the user's own code within reach."""
    own_code.make_importable(own, folders)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    prepare_process()
    # Imports print messages. An error comes back as an exception.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)


def _cost(wanted: Sized) -> Cost:
    import keras

    from models import model_cost

    keras.mixed_precision.set_global_policy(wanted.precision)
    return model_cost(wanted.model, wanted.classes, wanted.size)


def _measure(wanted: Sized, batch: int) -> Speed:
    import keras
    import numpy as np
    import psutil
    import tensorflow as tf

    from models import build

    keras.mixed_precision.set_global_policy(wanted.precision)
    model = build(wanted.model.model_copy(update={"weights": "none"}), wanted.classes)
    forward = tf.function(lambda images: model(images, training=False), autograph=False)
    images = tf.constant(np.full((batch, wanted.size, wanted.size, 3), 127, np.float32))
    forward(images)
    started = time.time() - psutil.Process().create_time()
    begun = time.perf_counter()
    tf.reshape(forward(images), [-1])[:1].numpy()
    return Speed(started, time.perf_counter() - begun)
