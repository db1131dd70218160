"""`python -m bench.spec.page > docs/fields.md`: the reference of all fields, made from the specification."""

from __future__ import annotations

import json
from itertools import groupby

from bench.spec.reference import FieldFacts, facts

HEAD = """# Fields

<!-- Made by `python -m bench.spec.page > docs/fields.md`; edit bench/spec and models/spec.py instead. -->

Every field of a trial, as it stands in a grid's `base` and `axes` and in `--set FIELD=VALUE`. `python -m bench.list
fields` prints the same. A field in **bold** is a part of the cell: with another value it is another cell, which is not
compared with the first as a regression. A policy of `data.augment` has fields of its own
([data.md](data.md)), and so has each loss ([losses.md](losses.md)).
"""
LONG = 8
"""Largest number of choices that a cell of the table lists."""
ELSEWHERE = {"model.backbone": "`bench.list backbones`", "loss.name": "`bench.list losses`"}


def render() -> str:
    """Return the page as markdown."""
    parts = [HEAD]
    for section, fields in groupby(facts(), lambda fact: fact.name.partition(".")[0]):
        rows = "\n".join(map(_row, fields))
        parts.append(f"\n## {section}\n\n| field | values | default | |\n|---|---|---|---|\n{rows}\n")
    return "".join(parts)


def _row(fact: FieldFacts) -> str:
    name = f"**`{fact.name}`**" if fact.cell else f"`{fact.name}`"
    return f"| {name} | {_values(fact)} | `{json.dumps(fact.default)}` | {fact.description} |".replace("`null`", "none")


def _values(fact: FieldFacts) -> str:
    if fact.name in ELSEWHERE:
        return ELSEWHERE[fact.name]
    if fact.choices and len(fact.choices) <= LONG:
        return ", ".join(f"`{choice}`" for choice in fact.choices)
    return f"{fact.kind}, {fact.limits}" if fact.limits else fact.kind


if __name__ == "__main__":
    print(render(), end="")
