"""What an Evaluator has to evaluate: the metrics of this room on slices, with a value and a change threshold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_MODULE = "bench.tfx.metrics"
_OTHERS = ("ClassIoU", "MeanDice", "BoundaryIoU")


def eval_config(
    floor: float = 0.0, drop: float | None = None, slices: Sequence[str] = (), classes: int | None = None
) -> Any:
    """Return an EvalConfig of TensorFlow Model Analysis for SavedModels with the signature `serving_examples`.

    Args:
        floor: the mIoU that a model has to reach over all examples, 0..1.
        drop: the loss of mIoU against the baseline that is accepted, 0..1; None compares with none.
        slices: names of features; metrics are computed for each of their values, too.
        classes: number of classes; None for all ids up to 254.
    """
    from tensorflow_model_analysis.proto import config_pb2 as proto

    arguments = json.dumps({} if classes is None else {"classes": classes})
    threshold = proto.MetricThreshold(value_threshold=proto.GenericValueThreshold(lower_bound={"value": floor}))
    if drop is not None:
        change = proto.GenericChangeThreshold(direction=proto.MetricDirection.HIGHER_IS_BETTER)
        change.absolute.value = -drop
        threshold.change_threshold.CopyFrom(change)
    guarded = proto.MetricConfig(class_name="MeanIoU", module=_MODULE, config=arguments, threshold=threshold)
    others = [proto.MetricConfig(class_name=name, module=_MODULE, config=arguments) for name in _OTHERS]
    return proto.EvalConfig(
        # No label_key, prediction_key or example_weight_key: pictures of several sizes do not fit one array.
        model_specs=[proto.ModelSpec(signature_name="serving_examples")],
        slicing_specs=[proto.SlicingSpec(), *(proto.SlicingSpec(feature_keys=[name]) for name in slices)],
        metrics_specs=[proto.MetricsSpec(metrics=[guarded, *others])],
    )
