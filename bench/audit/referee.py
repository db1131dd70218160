"""TensorFlow Model Analysis as a referee: it runs a SavedModel on shards, and counts."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.audit.counts import Count
from bench.core import UsageError

MASK = "image/segmentation/class/encoded"
WORKING = (
    "Python 3.12 or 3.13, TensorFlow 2.21, tensorflow-model-analysis 0.52.0 and tfx-bsl 1.21.0, which "
    "`pip install -e '.[tfma]'` installs there"
)


def check_installed() -> None:
    """Check that TensorFlow Model Analysis is installed, without importing it.

    Raises:
        UsageError: it is not; one line with versions that work.
    """
    if importlib.util.find_spec("tensorflow_model_analysis") is None:
        here = f"this is Python {sys.version_info[0]}.{sys.version_info[1]}"
        raise UsageError(f"TensorFlow Model Analysis is not installed. What works is {WORKING}; {here}")


def counted_by_tfma(
    model: Path, shards: str, asked: Sequence[Count], classes: int, work: Path
) -> dict[Count, np.ndarray]:
    """Let TensorFlow Model Analysis evaluate a SavedModel, and return the counts, each int64 (C,) by class.

    Args:
        model: folder of the SavedModel, which has the signature "serving_examples".
        shards: pattern of the paths of TFRecord files.
        asked: what is counted.
        classes: number of classes C.
        work: folder for its result.

    Raises:
        UsageError: it cannot be imported, or ends with an error; one line tells its first words.
    """
    with _quiet():
        tfma, config_pb2 = _imported()
        config = config_pb2.EvalConfig(
            model_specs=[config_pb2.ModelSpec(signature_name="serving_examples")],
            slicing_specs=[config_pb2.SlicingSpec()],
            metrics_specs=[config_pb2.MetricsSpec(metrics=[_metric(config_pb2, one, classes) for one in asked])],
        )
        try:
            found = tfma.run_model_analysis(
                eval_shared_model=tfma.default_eval_shared_model(str(model), eval_config=config),
                eval_config=config, data_location=shards, output_path=str(work),
            )  # fmt: skip
        except Exception as error:
            raise UsageError(f"TensorFlow Model Analysis ends with an error: {_first(error)}") from error
    return {one: _values(found, one, classes) for one in asked}


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out warnings: Beam, TFMA and Google's packages warn about what neither they nor we do."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _imported() -> tuple[Any, Any]:
    """Return TensorFlow Model Analysis and the messages of its configuration.

    Raises:
        UsageError: they cannot be imported.
    """
    try:
        import tensorflow_model_analysis as tfma
        from tensorflow_model_analysis.proto import config_pb2
    except Exception as error:  # what lies beside it may be of a version that it does not know
        told = f"TensorFlow Model Analysis cannot be imported ({_first(error)}); what works is {WORKING}"
        raise UsageError(told) from None
    return tfma, config_pb2


def _metric(config_pb2: Any, count: Count, classes: int) -> Any:
    name = "SemanticSegmentationTruePositive" if count.hit else "SemanticSegmentationFalsePositive"
    settings = {
        "class_ids": [*range(classes)], "ground_truth_key": MASK, "prediction_key": "labels",
        "decode_prediction": True, "ignore_ground_truth_id": count.ignored, "name": count.name,
    }  # fmt: skip
    return config_pb2.MetricConfig(class_name=name, config=json.dumps(settings))


def _values(found: Any, count: Count, classes: int) -> np.ndarray:
    """Return a count by class. TFMA keeps it as a float64, which holds whole numbers up to 2^53."""
    by_class = (found.get_metrics_for_slice(class_id=one)[count.name]["doubleValue"] for one in range(classes))
    return np.fromiter(by_class, np.float64, classes).astype(np.int64)


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
