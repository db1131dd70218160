"""Every field of a spec: type, range, default and description, for lists, docs/fields.md and the schema of grids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import losses
from bench.spec.augmentation import named as named_policies
from bench.spec.trial_spec import TrialSpec
from models import ARCHITECTURES, BACKBONES, HEADS, OUTPUT_STRIDES

Schema = dict[str, Any]

OPEN = ("loss.name", "model.backbone", "model.head")
"""Fields that take `package.module:Class` as well as the names of their registry."""


def known_names() -> dict[str, list[Any]]:
    """Return the values of the fields that a registry knows, by field."""
    return {
        "model.architecture": [*ARCHITECTURES],
        "model.backbone": [*BACKBONES],
        "model.head": [*HEADS],
        "model.output_stride": [*OUTPUT_STRIDES],
        "loss.name": [*losses.names()],
        "data.augment": [*named_policies()],
        "eval.views[].output_stride": [*OUTPUT_STRIDES],
    }


@dataclass(frozen=True)
class FieldFacts:
    """One field of a spec.

    Attributes:
        name: dotted; `[]` follows a field that holds a list of sections.
        kind: its type in words.
        choices: the values that it can have; empty if these are not few.
        limits: its range, such as "32 to 4096"; empty without one.
        default: as JSON.
        cell: whether it is a part of the cell, so that another value is another cell.
        description: one or two sentences.
    """

    name: str
    kind: str
    choices: tuple[Any, ...]
    limits: str
    default: Any
    cell: bool
    description: str


def schema() -> Schema:
    """Return the JSON schema of a spec, with the names that registries know."""
    return TrialSpec.model_json_schema()


def facts() -> list[FieldFacts]:
    """Return all fields in the order of the spec, sections resolved."""
    whole = schema()
    return list(_fields(whole, whole, "", TrialSpec().model_dump(mode="json")))


def _fields(whole: Schema, section: Schema, prefix: str, defaults: Any, cell: bool = True) -> Iterator[FieldFacts]:
    known = known_names()
    for name, entry in section["properties"].items():
        dotted, value = f"{prefix}{name}", defaults.get(name) if isinstance(defaults, Mapping) else None
        inner, inside = resolved(whole, entry), cell and entry.get("identity") is not False
        if "properties" in inner and dotted != "data.augment":
            yield from _fields(whole, inner, f"{dotted}.", value, inside)
            continue
        parts = [resolved(whole, part) for part in inner.get("anyOf", [inner])]
        yield FieldFacts(
            name=dotted,
            kind=" or ".join(dict.fromkeys(map(_kind, parts))),
            choices=tuple(known.get(dotted) or [option for part in parts for option in part.get("enum", [])]),
            limits=next(filter(None, map(_limits, parts)), ""),
            default=entry.get("default", value),
            cell=inside,
            description=" ".join(entry.get("description", "").split()),
        )
        items = resolved(whole, inner.get("items", {}))
        for listed in (items, *parts):
            if "properties" in listed and dotted != "data.augment":
                yield from _fields(whole, listed, f"{dotted}[]." if listed is items else f"{dotted}.", None, inside)


def resolved(whole: Schema, entry: Schema) -> Schema:
    """Return a part of a schema, or what it refers to."""
    reference = entry.get("$ref")
    return whole["$defs"][reference.rpartition("/")[2]] if reference else entry


def _kind(entry: Schema) -> str:
    names = {"integer": "whole number", "string": "text", "boolean": "true or false", "array": "list", "null": "none"}
    if "const" in entry:
        return str(entry["const"])
    found = entry.get("type", "")
    return "section" if found == "object" else names.get(found, str(found))


def _limits(entry: Schema) -> str:
    low, high = entry.get("minimum"), entry.get("maximum")
    above, below = entry.get("exclusiveMinimum"), entry.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    ends = {"at least": low, "above": above, "at most": high, "below": below}
    return ", ".join(f"{word} {value:g}" for word, value in ends.items() if value is not None)
