"""`python -m bench.plan.grid_schema > bench/plan/grid.schema.json`: the JSON schema of grid files, for editors.

A grid file whose first line is `# yaml-language-server: $schema=PATH` is checked and completed by editors that use the
YAML language server. The schema knows names, types and ranges; what fields mean together is checked by `--dry-run`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.plan.grid import ALIASES, Search, presets
from bench.plan.until import Until
from bench.spec import reference
from models import REFERENCES
from results import Recipe

Schema = dict[str, Any]
PATH = Path(__file__).with_name("grid.schema.json")
DRAFT = "https://json-schema.org/draft/2020-12/schema"
OWN = r"^[^:]+:[^:]+$"
"""The form of `package.module:Class`."""
PARAMS: Schema = {r"^loss\.params\.": {}}
"""Parameters of losses, which differ from loss to loss."""


def schema() -> Schema:
    """Return the schema of a grid file."""
    whole = reference.schema()
    fields = _fields(whole)
    definitions = {
        **{name: _tidy(part) for name, part in whole["$defs"].items()},
        "Settings": {**_object(fields, "Fields of the spec, by their dotted names."), "patternProperties": PARAMS},
        "Search": _tidy(Search.model_json_schema()),
        **_recipe(),
        "Until": _tidy(Until.model_json_schema()),
        "Bundle": {
            **_object(
                {"label": {"type": "string"}, "set": {"$ref": "#/$defs/Settings"}}, "Several fields as one value."
            ),
            "required": ["label", "set"],
        },
    }
    definitions["ViewSpec"]["properties"]["crf"]["anyOf"].append({"type": "boolean"})  # true: the CRF as published
    bundles = {"type": "array", "items": {"anyOf": [{"enum": [*REFERENCES]}, {"$ref": "#/$defs/Bundle"}]}}
    seeds = {"type": "integer", "minimum": 1, "description": "Seeds per cell, if the command names no number."}
    keys = {
        "description": {"type": "string", "description": "The question, in one line, for the report."},
        "preset": {"enum": [*presets()], "description": "The preset, if the command names none."},
        "seeds": seeds,
        "base": {"$ref": "#/$defs/Settings"},
        "axes": _axes(fields),
        "references": {**bundles, "description": "Further cells, with which all others are compared."},
        "search": {"$ref": "#/$defs/Search"},
        "recipe": {"$ref": "#/$defs/Recipe"},
        "until": {"$ref": "#/$defs/Until"},
    }
    return {"$schema": DRAFT, "title": "Grid", **_object(keys, ""), "required": ["axes"], "$defs": definitions}


def _recipe() -> Schema:
    """Return the schema of a recipe and of its published scores, by name."""
    whole = _tidy(Recipe.model_json_schema())
    return {**whole.pop("$defs"), "Recipe": whole}


def _fields(whole: Schema) -> Schema:
    """Return the schema of every field by its dotted name, and of whole sections."""
    found: Schema = {}
    for section, entry in whole["properties"].items():
        inner = reference.resolved(whole, entry)
        if "properties" not in inner:
            continue  # the seed, which a grid may not set
        found[section] = {"type": "object", "description": entry.get("description", "")}
        for name, field in inner["properties"].items():
            dotted = f"{section}.{name}"
            found[dotted] = _known(dotted, _tidy(field))
    return found


def _known(dotted: str, field: Schema) -> Schema:
    """Return a field with the names that a registry knows as its choices. A policy or path may be given as well."""
    names = reference.known_names().get(dotted)
    if names is None:
        return field
    if dotted in reference.OPEN:
        return {**field, "anyOf": [{"enum": names}, {"pattern": OWN}]}
    if "anyOf" not in field:
        return {**field, "enum": names}
    return {**field, "anyOf": [{"enum": names}, *(part for part in field["anyOf"] if part.get("type") != "string")]}


def _axes(fields: Schema) -> Schema:
    """Return the schema of the axes: fields and their short names with values, or other names with bundles."""
    bundle = {"$ref": "#/$defs/Bundle"}
    several = {"type": "array", "minItems": 1}
    named = {name: {**several, "items": {"anyOf": [field, bundle]}} for name, field in fields.items() if "." in name}
    short = {name: named[target] for name, target in ALIASES.items()}
    short["loss"] = {"anyOf": [{"const": "all"}, short["loss"]]}
    return {
        "type": "object", "minProperties": 1, "description": "What varies. Cells are all combinations.",
        "properties": {**short, **named}, "patternProperties": dict.fromkeys(PARAMS, several),
        "additionalProperties": {**several, "items": bundle},
    }  # fmt: skip


def _object(properties: Schema, description: str) -> Schema:
    return {"type": "object", "description": description, "properties": properties, "additionalProperties": False}


def _tidy(entry: Any) -> Any:
    """Return a part of a schema without what only this project reads, and with line ends as spaces."""
    if isinstance(entry, list):
        return [_tidy(part) for part in entry]
    if not isinstance(entry, dict):
        return entry
    kept = {key: _tidy(value) for key, value in entry.items() if key not in ("identity", "neutral")}
    if isinstance(text := kept.get("description"), str):
        kept["description"] = " ".join(text.split())
    return kept


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
