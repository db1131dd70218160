"""Fields of a spec by their dotted names, and specs from nested mappings. A fault is reported in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from bench.core import Fault, UsageError, first_fault, nearest
from bench.spec.trial_spec import TrialSpec


def parse(values: Mapping[str, Any], where: str, elsewhere: Mapping[str, str] | None = None) -> TrialSpec:
    """Validate a nested mapping into a TrialSpec.

    Args:
        values: sections and fields, as in a grid file.
        where: the place that an error names, such as a file or `--set`.
        elsewhere: the places of fields, by their dotted names, that come from somewhere else.

    Raises:
        UsageError: names the place, the path in the spec, the value and the nearest right name.
    """
    try:
        return TrialSpec.model_validate(values)
    except ValidationError as error:
        fault = first_fault(error)
        raise UsageError(f"{(elsewhere or {}).get(fault.place, where)}: {_in_words(fault)}") from None


def _in_words(fault: Fault) -> str:
    path = fault.place.split(".")
    if fault.kind == "extra_forbidden":
        return f"unknown field {fault.place!r}{nearest(fault.place, fields_of(path[:-1]))}"
    if fault.kind == "literal_error":
        return f"{fault.place}: {fault.value!r} is not known{nearest(fault.value, _choices(path))}"
    if fault.kind == "value_error":
        return fault.told
    return f"{fault.place}: {fault.message}, got {fault.value!r}"


def _annotation(path: list[str]) -> Any:
    """Return the type of a field, or None if there is no such field."""
    found: Any = TrialSpec
    for part in path:
        field = getattr(found, "model_fields", {}).get(part)
        found = field.annotation if field else None
    return found


def fields_of(path: list[str]) -> list[str]:
    """Return the dotted names of the fields of a section, e.g. ['train'] -> ['train.epochs', ...]."""
    return [".".join([*path, name]) for name in getattr(_annotation(path), "model_fields", {})]


def _choices(path: list[str]) -> list[str]:
    """Return the values that a field may have, or the keys of a mapping; empty if they are not listed."""
    found = _annotation(path)
    for part in get_args(found):
        if get_origin(part) is dict:
            found = get_args(part)[0]
    return [str(option) for option in get_args(found)]


def assign(values: dict[str, Any], dotted: str, value: Any, where: str) -> None:
    """Set a field of the spec, such as `train.epochs`, in nested mappings, in place.

    A mapping for a section, such as {epochs: 8} for `train`, sets the fields that it names and leaves the others.

    Args:
        values: sections and fields; changed in place.
        dotted: the dotted name of a field of the spec, or of a parameter of the loss (`loss.params.NAME`).
        value: what to set.
        where: the place that an error names.

    Raises:
        UsageError: there is no such field (the nearest one is named), or it is a section.
    """
    *sections, name = dotted.split(".")
    inside_params = sections[:2] == ["loss", "params"]
    if not inside_params and dotted not in fields_of(sections):
        everywhere = [
            field for section in ("", *TrialSpec.model_fields) for field in fields_of([section] if section else [])
        ]
        raise UsageError(f"{where}: unknown field {dotted!r}{nearest(dotted, fields_of(sections) or everywhere)}")
    if not inside_params and (fields := fields_of([*sections, name])) and not isinstance(value, Mapping):
        raise UsageError(f"{where}: {dotted} is a section; set one of its fields, e.g. {fields[0]}")
    if not sections and fields_of([name]):
        for field, one in value.items():
            assign(values, f"{name}.{field}", one, where)
        return
    for section in sections:
        if not isinstance(values := values.setdefault(section, {}), dict):
            raise UsageError(f"{where}: {dotted}: {section!r} was set to {values!r}, which has no fields")
    values[name] = value
