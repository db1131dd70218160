"""What differs between the cells of a grid, for a table that shows a row per cell."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.plan.grid import Cell
from bench.spec import as_settings

_LONGEST = 40
"""Characters of a value, such as a list of views, beyond which only its field is named."""


def varied(cells: Sequence[Cell], elsewhere: Collection[str] = ()) -> list[str]:
    """Return, per cell, the settings that not all cells have, such as `train.learning_rate=0.05`.

    A setting whose value is the label of its cell is left out, because the label says it.

    Args:
        cells: of one grid.
        elsewhere: dotted names of fields that the table shows in a column of their own.
    """
    made = [as_settings(cell.spec) for cell in cells]
    shared = set[str].intersection(*map(set, made)) if made else set[str]()
    return [
        ", ".join(
            setting if len(value) <= _LONGEST else f"{field}=..."
            for setting in settings
            for field, _, value in [setting.partition("=")]
            if setting not in shared and field not in elsewhere and value != cell.label
        )
        for cell, settings in zip(cells, made, strict=True)
    ]
