"""Metrics of label maps for TensorFlow Model Analysis, which has none: MeanIoU, ClassIoU, MeanDice and BoundaryIoU.

An EvalConfig names them by `class_name` and `module="bench.tfx.metrics"`. They compute what an evaluation of this
project computes, by the same functions: confusion matrices over the pixels of all images of a slice. Thresholds and
slices are TensorFlow Model Analysis's own.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
from PIL import Image
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types, metric_util

from bench.core import IGNORE_INDEX
from bench.trial import class_dice, confusion_matrix, mean_of_known, score_image
from results import class_iou, mean_iou

TRUTH = "image/segmentation/class/encoded"
"""Feature with the class ids, as `bench.data prepare` writes it."""
PREDICTION = "labels"
"""Output of the signature `serving_examples`."""


class _LabelMaps(metric_types.Preprocessor):  # type: ignore[misc]
    """Takes truth and prediction of an example, both uint8 (H, W), out of its extracts. Weights are not used."""

    def __init__(self, truth: str, prediction: str, model_name: str) -> None:
        names = {"truth": truth, "prediction": prediction, "model_name": model_name}
        super().__init__(name=metric_util.generate_private_name_from_arguments("_label_maps", **names))
        self._truth, self._prediction, self._model = truth, prediction, model_name

    def process(self, extracts: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the label maps of an example as inputs of a metric.

        Raises:
            ValueError: one is missing, or they differ in size.
        """
        places = [constants.LABELS_KEY, constants.PREDICTIONS_KEY, constants.FEATURES_KEY]
        found = [self._of_this_model(extracts.get(place)) for place in places]
        truth, prediction = (_ids(_first(name, found)) for name in (self._truth, self._prediction))
        if truth.shape != prediction.shape:
            raise ValueError(
                f"{self._truth} has {truth.shape} pixels, {self._prediction} {prediction.shape}; the signature has to "
                "return label maps of each picture's own size"
            )
        yield metric_util.to_standard_metric_inputs(
            {constants.LABELS_KEY: truth, constants.PREDICTIONS_KEY: prediction}
        )

    def _of_this_model(self, values: Any) -> Mapping[str, Any]:
        """Return the values of this model; with several models there is a dict of them."""
        if not isinstance(values, Mapping):
            return {}
        inner = values.get(self._model) if self._model else None
        return inner if isinstance(inner, Mapping) else values


def _first(name: str, places: Iterable[Mapping[str, Any]]) -> Any:
    """Return what the first place has under a name.

    Raises:
        ValueError: none has it.
    """
    known: list[str] = []
    for place in places:
        if name in place:
            return place[name]
        known += place
    raise ValueError(f"no output or feature {name!r} to compute a metric of; there are {', '.join(sorted(set(known)))}")


def _ids(value: Any) -> np.ndarray:
    """Return a label map uint8 (H, W) from an array of ids, or from the one encoded image that the array holds."""
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        return np.array(Image.open(io.BytesIO(array.item())))
    return array[0] if array.ndim == 3 and len(array) == 1 else array


class _Counts(beam.CombineFn):  # type: ignore[misc]
    """Adds up a matrix over examples."""

    def __init__(self, key: Any, count: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self._key, self._count = key, count

    def create_accumulator(self) -> np.ndarray | int:
        """Return nothing counted, 0."""
        return 0

    def add_input(self, accumulator: np.ndarray | int, element: Any) -> np.ndarray | int:
        """Add the matrix of one example."""
        return accumulator + self._count(element.get_labels(), element.get_predictions())

    def merge_accumulators(self, accumulators: Iterable[np.ndarray | int]) -> np.ndarray | int:
        """Add matrices."""
        return sum(accumulators)

    def extract_output(self, accumulator: np.ndarray | int) -> dict[Any, np.ndarray | int]:
        """Return the matrix under the key of the computation."""
        return {self._key: accumulator}


class _AllPixels:
    """Counts (truth, prediction) pairs: (C, C) int64, rows = truth.

    Raises:
        ValueError: a pixel that counts is predicted as a class that the metric does not have.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        largest = prediction[truth < self.classes].max(initial=0)
        if largest >= self.classes:
            raise ValueError(f"a label map has the class {largest}, the metric {self.classes} classes")
        return self._matrix(truth, prediction)

    def _matrix(self, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        return np.asarray(confusion_matrix(truth, prediction, self.classes)).astype(np.int64)


class _NearBoundaries(_AllPixels):
    """Counts pairs near boundaries, with one more class for "not near": (C+1, C+1) int64, rows = truth."""

    def _matrix(self, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        return np.asarray(score_image(truth, prediction, self.classes)[1]).astype(np.int64)


class _Metric(metric_types.Metric):  # type: ignore[misc]
    """A number that follows from a matrix."""

    _count: type[_AllPixels] = _AllPixels
    _name = ""

    def __init__(
        self, classes: int = IGNORE_INDEX, truth: str = TRUTH, prediction: str = PREDICTION, name: str | None = None
    ) -> None:
        """Make the metric.

        Args:
            classes: number of classes C; pixels whose truth is C or more are void.
            truth: feature with the class ids, encoded as PNG, or output with an array of them.
            prediction: output with the predicted ids, in either form.
            name: of the metric in results.
        """
        super().__init__(
            metric_util.merge_per_key_computations(self._metric_computations),
            name=name, classes=classes, truth=truth, prediction=prediction,
        )  # fmt: skip

    def _default_name(self) -> str:
        return self._name

    def _values(self, matrix: np.ndarray, key: Any) -> dict[Any, float]:
        raise NotImplementedError

    def _metric_computations(
        self, classes: int, truth: str, prediction: str, name: str | None = None, model_name: str = "", **_: Any
    ) -> list[Any]:
        """Return the computation of the matrix, which metrics share, and that of the values from it."""
        what = {"classes": classes, "truth": truth, "prediction": prediction}
        private = metric_util.generate_private_name_from_arguments(self._count.__name__, **what)
        matrix = metric_types.MetricKey(name=private, model_name=model_name)
        key = metric_types.MetricKey(name=name or self._name, model_name=model_name)
        count = metric_types.MetricComputation(
            keys=[matrix],
            preprocessors=[_LabelMaps(truth, prediction, model_name)],
            combiner=_Counts(matrix, self._count(classes)),
        )

        def result(found: Mapping[Any, Any]) -> dict[Any, float]:
            return self._values(found[matrix], key)

        return [count, metric_types.DerivedMetricComputation(keys=[key], result=result)]


class MeanIoU(_Metric):
    """Computes the mean IoU over the classes that occur in truth or prediction, 0..1."""

    _name = "mean_iou"

    def _values(self, matrix: np.ndarray, key: Any) -> dict[Any, float]:
        return {key: mean_iou(matrix)}


class MeanDice(_Metric):
    """Computes the mean of Dice, 2 TP / (2 TP + FP + FN), over the classes that occur, 0..1."""

    _name = "mean_dice"

    def _values(self, matrix: np.ndarray, key: Any) -> dict[Any, float]:
        return {key: mean_of_known(class_dice(matrix))}


class BoundaryIoU(_Metric):
    """Computes the mean Boundary IoU over the classes that occur, 0..1 (Cheng et al. 2021, arXiv 2103.16562)."""

    _count = _NearBoundaries
    _name = "boundary_iou"

    def _values(self, matrix: np.ndarray, key: Any) -> dict[Any, float]:
        return {key: mean_of_known(class_iou(matrix)[:-1])}


class ClassIoU(_Metric):
    """Computes the IoU of each class that occurs, 0..1; results have it under `class_id`."""

    _name = "class_iou"

    def _values(self, matrix: np.ndarray, key: Any) -> dict[Any, float]:
        found = class_iou(matrix)
        present = np.flatnonzero(~np.isnan(found))
        return {key._replace(sub_key=metric_types.SubKey(class_id=int(one))): float(found[one]) for one in present}


for _metric in (MeanIoU, ClassIoU, MeanDice, BoundaryIoU):
    metric_types.register_metric(_metric)
