"""Phrases that the sentences of several pages share."""

from collections.abc import Sequence


def listed(items: Sequence[str], most: int = 10) -> str:
    """Return names joined by commas; names beyond `most` are only counted.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def ok_first(item: tuple[str, int]) -> tuple[bool, str]:
    """Return the sort key of a (status, count): `ok` first, then by name."""
    return item[0] != "ok", item[0]


def no_spread(seeds: int) -> str:
    """Return why seeds tell no noise, `seeds` being the most of a cell.

    >>> no_spread(1)
    'one seed per cell shows no spread'
    """
    return "one seed per cell shows no spread" if seeds == 1 else "no cell has seeds that differ"
