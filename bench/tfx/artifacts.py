"""The type of artifact by which ML Metadata knows a run of a grid."""

from __future__ import annotations

from tfx.types.artifact import Artifact, Property, PropertyType


class BenchmarkRun(Artifact):  # type: ignore[misc]
    """A run of a grid. The run itself stays in its storage; the artifact's folder holds `benchmark.json`.

    Properties: `folder` of the run, number of `trials` that ended well, number of `failed` ones, `best_trial`,
    `best_cell` and `best_miou`, the mean mIoU of that cell on the validation split.
    """

    TYPE_NAME = "BenchmarkRun"
    PROPERTIES = {  # noqa: RUF012  (as TFX declares it)
        "folder": Property(type=PropertyType.STRING),
        "trials": Property(type=PropertyType.INT),
        "failed": Property(type=PropertyType.INT),
        "best_trial": Property(type=PropertyType.STRING),
        "best_cell": Property(type=PropertyType.STRING),
        "best_miou": Property(type=PropertyType.FLOAT),
    }


RUN_OF_MODEL = "benchmark_run"
"""Custom property of a Model: the folder of the run that it comes from."""
