"""A spec as `field=value` texts, from which `bench.trial --set` makes it again, in this version or in another one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bench.spec.trial_spec import TrialSpec


def as_settings(spec: TrialSpec, preset_fields: Collection[str] = ()) -> list[str]:
    """Return the settings that make a spec, as texts for `--set`.

    Other versions of the software may lack the fields that were added later, or that say only how a trial runs. So
    these are left out at their default. CPUs, the folder of an earlier plan and hashes of the user's own code are never
    among the settings.

    Args:
        spec: of a trial.
        preset_fields: dotted names of fields that are never left out, such as those that a preset would set.
    """
    fields = dict(_fields(spec, ""))
    always = {"seed", *preset_fields}
    wanted = {name: value for name, (value, optional) in fields.items() if not optional or name in always}
    return [f"{name}={_text(value)}" for name, value in wanted.items()]


def _fields(section: BaseModel, prefix: str) -> Iterator[tuple[str, tuple[Any, bool]]]:
    """Yield (dotted name, (plain value, whether it may be left out)) of every field of a section."""
    plain = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value, dotted = getattr(section, name), f"{prefix}{name}"
        if dotted in ("placement.cpus", "placement.exclusive_node", "data.planned_root", "own_code"):
            continue
        if isinstance(value, BaseModel) and isinstance(field.annotation, type):
            yield from _fields(value, f"{dotted}.")
        else:
            yield dotted, (plain[name], _optional(field, value))


def _optional(field: FieldInfo, value: Any) -> bool:
    """Return whether a field has its default, and is either outside the cell or was added later."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    known = "neutral" in extra or extra.get("identity") is False
    return known and value == field.get_default(call_default_factory=True)


def _text(value: Any) -> str:
    """Return a plain value as YAML in one line. JSON would not do: YAML reads its 1e-06 as text."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()
