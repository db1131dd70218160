"""Class lists of a user's folder: `classes.yaml` with names and colours, or `classes.txt` with names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from PIL import ImageColor

from bench.data import palette
from bench.data.dataset import VOID
from bench.data.layout import text_of
from bench.data.masks import Color, Colors
from bench.data.pairs import Classes
from bench.errors import UsageError


class Declared(NamedTuple):
    classes: Classes
    coded: Colors | None
    """How colour masks are read, where every class has a colour."""


def unnamed(count: int) -> Classes:
    """class_0, class_1, ..."""
    return Classes(tuple(f"class_{index}" for index in range(count)), palette.colors(count))


def declared(root: Path) -> Declared | None:
    """What classes.yaml says, else classes.txt, else None.

    Raises:
        UsageError: a faulty list.
    """
    path = root / "classes.yaml"
    if path.is_file():
        return _of_yaml(path)
    path = root / "classes.txt"
    if path.is_file():
        names = tuple(line.strip() for line in text_of(path).splitlines() if line.strip())
        return Declared(_distinct(path, names, palette.colors(len(names))), None)
    return None


def written(classes: Classes) -> str:
    """The text of a classes.yaml."""
    entries = {
        index: {"name": name, "color": list(color)}
        for index, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))
    }
    return yaml.safe_dump(entries, default_flow_style=None, allow_unicode=True, sort_keys=False)


def _of_yaml(path: Path) -> Declared:
    """`0: sky`, or `0: {name: sky, color: [70, 130, 180]}` (or "#4682b4", or a list of colours, the first of which is
    shown); ids run from 0 without a gap, and 255 may name the colours of void."""
    try:
        entries = yaml.safe_load(text_of(path))
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(entries, dict):
        raise UsageError(f"{path}: expected lines of `id: name`")
    count = len(entries) - (VOID in entries)
    if set(entries) - {VOID} != set(range(count)):
        raise UsageError(f"{path}: class ids must run from 0 to {count - 1} without a gap (255 is void)")
    names, ids = [], dict[Color, int]()
    shown = list(palette.colors(count))
    coded = True
    for index in sorted(entries):
        entry = entries[index] if isinstance(entries[index], dict) else {"name": entries[index]}
        if set(entry) - {"name", "color"} or not isinstance(entry.get("name"), str | int | bool):
            raise UsageError(f"{path}: class {index} needs `name` and may have `color`, got {entries[index]!r}")
        colors = _colors(path, index, entry["color"]) if "color" in entry else []
        for color in colors:
            if ids.setdefault(color, index) != index:
                raise UsageError(f"{path}: color {list(color)} is of class {ids[color]} and of class {index}")
        if index != VOID:
            names.append(str(entry["name"]))
            shown[index] = colors[0] if colors else shown[index]
            coded &= bool(colors)
    return Declared(_distinct(path, tuple(names), tuple(shown)), Colors(ids) if coded else None)


def _colors(path: Path, index: int, value: Any) -> list[Color]:
    several = isinstance(value, list) and value and all(isinstance(part, list | str) for part in value)
    return [_color(path, index, part) for part in (value if several else [value])]


def _color(path: Path, index: int, value: Any) -> Color:
    try:
        color = ImageColor.getrgb(value) if isinstance(value, str) else tuple(value)
        if len(color) == 3 and all(type(part) is int and 0 <= part <= 255 for part in color):
            return color[0], color[1], color[2]
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{path}: color {value!r} of class {index}; write [red, green, blue] in 0..255 or '#rrggbb'")


def _distinct(path: Path, names: tuple[str, ...], colors: tuple[Color, ...]) -> Classes:
    if not 1 <= len(names) <= VOID:
        raise UsageError(f"{path}: {len(names)} classes; it must name 1 to {VOID}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{path}: class name {twice!r} stands twice")
    return Classes(names, colors)
