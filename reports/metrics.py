"""Readable names and units of the metrics that a comparison judges."""

from typing import NamedTuple

from results import ComparisonRow


class Metric(NamedTuple):
    """How a metric is shown.

    Attributes:
        name: its readable name, with the unit if changes are shown without one.
        factor: the factor from a value to the shown value; 100 makes a fraction a percentage.
        unit: the unit of a change of the shown value; empty if the name contains it.
    """

    name: str
    factor: float = 1.0
    unit: str = ""


def _share(name: str) -> Metric:
    """Return a metric in 0..1 that is shown in percent, with its changes in percentage points."""
    return Metric(name, 100.0, "points")


METRICS: dict[str, Metric] = {
    "miou": _share("mIoU"),
    "boundary_iou": _share("Boundary IoU"),
    "mean_image_iou": _share("image mIoU"),
    "mean_dice": _share("Dice"),
    "pixel_accuracy": _share("pixel accuracy"),
    "soft_iou": _share("soft IoU"),
    "class_recall": _share("class recall"),
    "soft_dice": _share("soft Dice"),
    "best_miou": _share("best mIoU"),
    "target_value": _share("target"),
    "target_steps": Metric("steps to the target"),
    "target_seconds": Metric("training to the target, s"),
    "target_cpu_seconds": Metric("CPU to the target, s"),
    "input_share": _share("input share"),
    "images_per_second": Metric("images/s"),
    "images_per_100_gflop": Metric("images per 100 GFLOP"),
    "eval_images_per_second": Metric("evaluation images/s"),
    "peak_gpu_mb": Metric("GPU peak, MiB"),
    "peak_rss_mb": Metric("memory peak, MiB"),
    "compile_s": Metric("compile, s"),
    "start_s": Metric("start, s"),
}


def of(metric: str) -> Metric:
    """Return how a metric is shown; one without a row in the table is shown under its own name."""
    return METRICS.get(metric, Metric(metric))


def name(metric: str) -> str:
    """Return the readable name of a metric."""
    return of(metric).name


def is_percentage(metric: str) -> bool:
    """Return whether the metric is a fraction that is shown in percent."""
    return of(metric).factor == 100


def unit_of_change(row: ComparisonRow) -> tuple[float, str]:
    """Return the factor from a row's change to the shown one, and its unit; empty if the metric's name contains it."""
    return (100.0, "%") if row.scale == "ratio" else of(row.metric)[1:]
