"""The base class of all sections of a spec, and which of their fields make a cell."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from bench.core.faults import refuse_truth


class Spec(BaseModel):
    """A section of a trial's spec. It is frozen and refuses unknown fields.

    The text below a field is its description: in docs/fields.md, in `bench.list fields`, in the schema of grid files.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        refuse_truth(value, cls.model_fields[str(info.field_name)].annotation)
        return value


def outside_cell(default: Any, **constraints: Any) -> Any:
    """Declare a field that is no part of the cell. It says where or how a trial runs, not what it measures."""
    return Field(default, json_schema_extra={"identity": False}, **constraints)


def added_later(default: Any, **constraints: Any) -> Any:
    """Declare a field that was added after a release.

    At its default it is left out of the cell, so that old cells keep their hash.
    """
    return Field(default, json_schema_extra={"neutral": default}, **constraints)


def identity(spec: BaseModel) -> dict[str, Any]:
    """Return the fields that make the cell, as plain nested data.

    A field with `identity: False` is never among them (see `outside_cell`). A field with `neutral` is left out while
    it has that value (see `added_later`).
    """
    fields: dict[str, Any] = {}
    for name, field in type(spec).model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        value = getattr(spec, name)
        if extra.get("identity") is False or ("neutral" in extra and value == extra["neutral"]):
            continue
        if isinstance(value, BaseModel):
            if part := identity(value):
                fields[name] = part
        else:
            fields[name] = list(value) if isinstance(value, tuple) else value
    return fields
