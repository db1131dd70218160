"""`python -m bench.list backbones`: list backbones, losses, data sets, grids, presets or fields, as a table or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from bench.core import EXIT_OK, UsageError, cli, command, nearest, start

Row = dict[str, Any]  # column -> a JSON value; all rows of a list have the same columns
DETAILS = {  # columns that are too long for a table, shown for a row of its own
    "choices", "title", "source", "layout", "ignore_index", "class_names", "colors", "levels", "class", "formula",
    "input",
}  # fmt: skip


def backbones() -> list[Row]:
    """Return one row per backbone."""
    from models import BACKBONES

    return [
        {
            "name": name,
            "parameters": row.parameters,
            "output_strides": list(row.strides),
            "imagenet_weights": row.imagenet,
            "installed": None if row.package is None else find_spec(row.package.replace("-", "_")) is not None,
            "input": row.scaling,
            "levels": list(row.levels),
            "class": row.constructor.replace("keras_cv.models.", ""),
        }
        for name, row in BACKBONES.items()
    ]


def losses() -> list[Row]:
    """Return one row per loss."""
    import losses as room

    return [
        {
            "name": name,
            "trains_alone": name in room.names_alone(),
            **room.described(name),
            "parameters": room.parameters(name),
        }
        for name in room.names()
    ]


def grids() -> list[Row]:
    """Return one row per grid that comes with the package."""
    from bench.plan import grid

    found = {name: grid.load(name) for name in grid.names()}
    return [
        {"name": name, "cells": len(one.cells), "seeds": one.seeds, "description": one.description}
        for name, one in found.items()
    ]


def presets() -> list[Row]:
    """Return one row per preset."""
    from bench.plan import grid

    return [
        {"name": name, "seeds": row["seeds"], "sets": row["set"] | row.get("decoder", {})}
        for name, row in grid.presets().items()
    ]


def datasets() -> list[Row]:
    """Return one row per data set of the catalogue."""
    from bench.data import entries

    return [
        {
            "name": entry.name,
            "title": entry.title,
            "classes": len(entry.classes) or None,
            "images": dict(entry.splits),
            "download": entry.download is not None,
            "licence": entry.licence,
            "source": entry.source,
            "layout": entry.layout,
            "ignore_index": entry.ignore_index,
            "class_names": list(entry.classes),
            "colors": [list(color) for color in entry.colors],
        }
        for entry in entries().values()
    ]


def fields() -> list[Row]:
    """Return one row per field of a spec, for grids and --set."""
    from bench.spec import reference

    return [
        {
            "name": fact.name,
            "values": (fact.limits and f"{fact.kind}, {fact.limits}") or fact.kind,
            "choices": list(fact.choices),
            "default": fact.default,
            "cell": fact.cell,
            "description": fact.description,
        }
        for fact in reference.facts()
    ]


LISTS: dict[str, Callable[[], list[Row]]] = {
    "backbones": backbones,
    "losses": losses,
    "datasets": datasets,
    "grids": grids,
    "presets": presets,
    "fields": fields,
}


@command
def main(
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(LISTS)}.")],
    name: Annotated[str | None, typer.Argument(help="A name in the list, to show all about it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, for programs.")] = False,
) -> int:
    """List backbones, losses, data sets, grids, presets or the fields of a trial."""
    if what not in LISTS:
        raise UsageError(f"unknown list {what!r}{nearest(what, LISTS)}")
    rows = {row["name"]: row for row in LISTS[what]()}
    if name is not None and name not in rows:
        raise UsageError(f"{what}: no {name!r}{nearest(name, rows)}")
    console = cli.console()
    if as_json:
        print(json.dumps(list(rows.values()) if name is None else rows[name], indent=2))
    elif name is None:
        console.print(_table(list(rows.values())))
    else:
        console.print(_one(rows[name]))
    return EXIT_OK


def _table(rows: list[Row]) -> Table:
    """Return a list as a table, without the columns of `DETAILS`."""
    # Parameters of a loss are a mapping of a dozen; those of a backbone a number.
    long = {
        *DETAILS,
        *(column for column, value in rows[0].items() if column == "parameters" and isinstance(value, dict)),
    }
    rows = [{column: value for column, value in row.items() if column not in long} for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, value in rows[0].items():
        numeric = isinstance(value, int) and not isinstance(value, bool)
        table.add_column(
            column.replace("_", " "),
            justify="right" if numeric else "left",
            no_wrap=numeric or column == "name",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(_text, row.values()))
    return table


def _one(row: Row) -> Table:
    """Return all of one row as a table with one line per column; classes are listed with their ids and colours."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    colors = row.get("colors") or []
    for column, value in row.items():
        if value not in (None, [], {}) and column not in (("colors", "class_names") if colors else ()):
            table.add_row(column.replace("_", " "), _text(value))
    for index, (name, color) in enumerate(zip(row.get("class_names", []), colors, strict=False)):
        code = "#{:02x}{:02x}{:02x}".format(*color)
        table.add_row(f"class {index}", Text.assemble(("  ", f"on {code}"), f" {code} {name}"))
    return table


def _text(value: Any) -> str:
    """Return a value as the text of a table."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case dict():
            return ", ".join(f"{key}={item}" for key, item in value.items())
        case list():
            return ", ".join(map(str, value))
    return str(value)


if __name__ == "__main__":
    start(main)
