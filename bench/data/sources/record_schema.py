"""The features of an example in our shards, and the schema of tensorflow-metadata that says what they may hold.

Class ids are inside a PNG, where TensorFlow Data Validation cannot look. So an example also says which classes its mask
has, and how much of each: an id out of range, a lost class and other frequencies show in statistics of the shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bench.core import IGNORE_INDEX
from bench.data.dataset import Dataset, Split
from bench.data.image_io import MAX_SIDE
from bench.data.sources.slices import FEATURE

KINDS = ("jpeg", "png")
"""Formats in which an image is stored. Every decoder of TensorFlow reads both."""
PRESENT, FRACTION, VOID = (f"image/segmentation/class/{name}" for name in ("present", "fraction", "void"))
_SIDE = {"int_domain": {"min": 1, "max": MAX_SIDE}}
# Without the fraction nothing is checked. TensorFlow Data Validation counts pictures that it cannot decode.
_PICTURE = {"image_domain": {"minimum_supported_image_fraction": 1.0}}
SCHEMA: dict[str, tuple[str, str, dict[str, Any]]] = {
    "image/encoded": ("BYTES", "the image in RGB and upright, as it was stored, or as PNG", _PICTURE),
    "image/filename": ("BYTES", "its key, unique in the set", {}),  # no domain can say that
    "image/format": ("BYTES", "jpeg or png", {"string_domain": {"value": [*KINDS]}}),
    "image/height": ("INT", "pixels, upright", _SIDE),
    "image/width": ("INT", "pixels, upright", _SIDE),
    "image/channels": ("INT", "3", {"int_domain": {"min": 3, "max": 3}}),
    "image/segmentation/class/encoded": ("BYTES", "class ids, PNG of 8 bits, 255 = void", _PICTURE),
    "image/segmentation/class/format": ("BYTES", "png", {"string_domain": {"value": ["png"]}}),
}
"""Type, meaning and domain of the features that every example has once; names are those of DeepLab's data sets."""
MOST_CHANGE = 0.1
"""Largest change of a class's share of all occurrences of classes between two sets that is no anomaly."""
MOST_DIVERGENCE = 0.3
"""Largest Jensen-Shannon divergence, in bits, of a class's share of a picture between two sets that is no anomaly."""


def label_statistics(label: np.ndarray) -> dict[str, list[int] | list[float]]:
    """Return the features that tell what a label uint8 (H, W) holds.

    Returns:
        `PRESENT`: the ids that occur, ascending, without void. `FRACTION`/ID for each of them: its share of the
        labelled pixels. `VOID`: the share of void in all pixels. Shares are in 0..1.
    """
    counts = np.bincount(label.ravel(), minlength=IGNORE_INDEX + 1)
    void, counts = int(counts[IGNORE_INDEX]), counts[:IGNORE_INDEX]
    present = np.flatnonzero(counts).tolist()
    shares = {f"{FRACTION}/{one}": [float(counts[one] / counts.sum())] for one in present}
    return {PRESENT: present, VOID: [void / label.size], **shares}


def schema_text(dataset: Dataset) -> str:
    """Return the schema of a data set's shards, as a tensorflow-metadata Schema in text form.

    A class that occurs in every split has to occur in every set that is validated; another one may be missing.
    """
    from google.protobuf import json_format, text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    features = [_once(name, *row) for name, row in SCHEMA.items()]
    features += _of_labels(dataset.class_names, _everywhere(dataset.splits))
    features += _of_images(dataset.splits)
    schema = json_format.ParseDict({"feature": features}, schema_pb2.Schema())
    return text_format.MessageToString(schema)


def _once(name: str, kind: str, meaning: str, domain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a feature that has one value in every example."""
    return {
        "name": name, "type": kind, "annotation": {"comment": [meaning]}, "shape": {"dim": [{"size": 1}]},
        "presence": {"min_fraction": 1.0, "min_count": 1}, **domain,
    }  # fmt: skip


def _of_labels(names: Iterable[str], everywhere: set[int]) -> list[dict[str, Any]]:
    """Return the features of `label_statistics`, for classes of these names.

    Args:
        everywhere: ids of the classes that occur in every split.
    """
    names = list(names)
    share = {"type": "FLOAT", "float_domain": {"min": 0.0, "max": 1.0, "disallow_nan": True}}
    change = {"infinity_norm": {"threshold": MOST_CHANGE}}
    divergence = {"jensen_shannon_divergence": {"threshold": MOST_DIVERGENCE}}
    void = _once(VOID, "FLOAT", "share of void in all pixels", {"float_domain": share["float_domain"]})
    present = {
        "name": PRESENT, "type": "INT", "value_count": {"max": len(names)}, "presence": {"min_count": 1},
        "annotation": {"comment": ["ids of the classes that occur, without void"]},
        "int_domain": {"min": 0, "max": len(names) - 1, "is_categorical": True},
        "skew_comparator": change, "drift_comparator": change,
    }  # fmt: skip
    shares = [
        {
            "name": f"{FRACTION}/{one}", **share, "value_count": {"min": 1, "max": 1},
            "presence": {"min_count": int(one in everywhere)},
            "annotation": {"comment": [f"share of {name} in the labelled pixels, where it occurs"]},
            "skew_comparator": divergence, "drift_comparator": divergence,
        }
        for one, name in enumerate(names)
    ]  # fmt: skip
    return [present, void, *shares]


def _of_images(splits: Mapping[str, Split]) -> list[dict[str, Any]]:
    """Return the features that name slices. One that every split has is in every example."""
    names = dict.fromkeys(name for split in splits.values() for name in split.features)
    found = []
    for name in names:
        having = [split.features[name] for split in splits.values() if name in split.features]
        domain = {"string_domain": {"value": sorted(set().union(*having))}}
        feature = _once(f"{FEATURE}{name}", "BYTES", f"{name} of the image, by which scores are reported", domain)
        found.append(feature if len(having) == len(splits) else {**feature, "presence": {"min_count": 0}})
    return found


def _everywhere(splits: Mapping[str, Split]) -> set[int]:
    """Return the ids that occur in every split. The labels of a split that does not know are read."""
    return set.intersection(*(_present(split) for split in splits.values()))


def _present(split: Split) -> set[int]:
    if split.present is not None:
        return set(np.flatnonzero(split.present.any(axis=0)).tolist())
    seen = (np.unique(split.read(index)[1]).tolist() for index in range(len(split)))
    return set().union(*seen) - {IGNORE_INDEX}
