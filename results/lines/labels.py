"""Labels of lines: cells of one data set that have the same label are told apart by the settings that differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from results.comparison.explanations import as_text, differing_settings
from results.record import Record

# A label with more settings than this would be longer than it helps; the cell's key takes their place.
_MOST = 3


def dataset_of(record: Record) -> str:
    """Return the name of a record's data set, also if the trial failed before it was read."""
    return record.dataset.name if record.dataset else str(record.spec.get("data", {}).get("name", "unknown"))


def distinct_labels(cells: Mapping[str, tuple[str, str, Record]]) -> dict[str, str]:
    """Return {cell: label}, with the settings in which it differs from other cells of the same label.

    Args:
        cells: {cell: (data set, label, one of its records)}.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for cell, (dataset, label, _) in cells.items():
        alike.setdefault((dataset, label), []).append(cell)
    found: dict[str, str] = {}
    for (_, label), keys in alike.items():
        suffixes = _suffixes([cells[cell][2] for cell in keys])
        distinct = len(set(suffixes)) == len(keys)
        for cell, suffix in zip(keys, suffixes, strict=True):
            said = suffix if distinct else cell[:6]
            found[cell] = f"{label} ({said})" if len(keys) > 1 else label
    return found


def _suffixes(records: Sequence[Record]) -> list[str]:
    """Return the settings of each record that differ between any of them; none if they are too many."""
    paths = sorted({one.split(":")[0] for other in records[1:] for one in differing_settings(records[0], other)})
    if len(paths) > _MOST:
        return [""] * len(records)
    return [", ".join(f"{path.split('.')[-1]}={_at(record.spec, path)}" for path in paths) for record in records]


def _at(spec: Mapping[str, Any], path: str) -> str:
    value: Any = spec
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return as_text(value)
