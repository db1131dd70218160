"""Data sets by name. Importing this package imports neither TensorFlow nor NumPy; a loader is imported when it is used.

To add a data set, write a module with `load(spec) -> Dataset`, name it in `_LOADERS` and describe it in catalog.yaml.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench import storage
from bench.core import UsageError, nearest

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.spec import DataSpec

_PUBLISHED = (
    "ade20k", "camvid", "cityscapes", "coco_stuff", "oxford_pets", "oxford_pets_binary", "oxford_pets_breeds",
    "voc2012", "voc2012_sbd",
)  # fmt: skip
_LOADERS = {
    "folder": "bench.data.sources.folder",
    "scenes": "bench.data.scenes.painter",
    "tfrecord": "bench.data.sources.tfrecords",
    **dict.fromkeys(_PUBLISHED, "bench.data.sources.public"),
}


def names() -> tuple[str, ...]:
    """Return the names that `load` knows, sorted."""
    return tuple(sorted(_LOADERS))


def load(spec: DataSpec) -> Dataset:
    """Open and check a whole data set, so its faults are reported before anything trains.

    Args:
        spec: the data section of a trial. `train_limit`, `val_limit` and `test_limit` keep the first n keys of a fixed
            shuffle of their split.

    Raises:
        UsageError: an unknown name; the first fault of the data set, with its file and what to do; or a split that
            cannot be trained on or scored.
    """
    if spec.dataset not in _LOADERS:
        raise UsageError(f"unknown dataset {spec.dataset!r}{nearest(spec.dataset, names())}")
    dataset: Dataset = import_module(_LOADERS[spec.dataset]).load(_here(spec))
    if spec.pixel_weights == "unet":
        dataset = dataset.with_background()
    from bench.data.judge import judged

    if "val" in spec.trained and "test" not in dataset.splits:
        raise UsageError(
            f"{dataset.name}: data.train_on trainval leaves nothing to score, because there is no split test; "
            "set it to train, or add a split test"
        )
    limits = {"train": spec.train_limit, "val": spec.val_limit, "test": spec.test_limit}
    return judged(dataset.limited(limits), spec.trained)


def _here(spec: DataSpec) -> DataSpec:
    """Return the section with the folder of the data set on this machine, to which it is brought from a store.

    Raises:
        UsageError: it cannot be brought.
    """
    if spec.root is None or not storage.is_address(spec.root):
        return spec
    folder, _ = storage.local_data(spec.root)
    return spec.model_copy(update={"root": str(folder)})


def version_here(section: dict[str, Any]) -> tuple[str, str | None]:
    """Return the version of the data set on this machine, or its fault. Runs on any machine of a cluster.

    Args:
        section: the fields of a DataSpec.

    Returns:
        (version, None), or ("", fault).
    """
    from bench.spec import DataSpec

    try:
        return load(DataSpec(**section)).version, None
    except UsageError as error:
        return "", str(error)
