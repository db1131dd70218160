"""Read class lists: `classes.yaml` (names and colours), `classes.txt` (names), and the lists of annotation tools."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from PIL import ImageColor

from bench.core import IGNORE_INDEX, UsageError
from bench.data.sources import palette
from bench.data.sources.examination import Classes
from bench.data.sources.layout import has_entry, text_of
from bench.data.sources.mask_codes import Color, Colors

_CVAT = re.compile(r"(?P<name>.+?):(?P<color>\d+,\d+,\d+)?:[^:]*:[^:]*")
_IGNORED = "__ignore__"  # labelme: shapes with this label are void; the label has no id
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_NUMBERED = re.compile(r"(?P<id>0|[1-9]\d*)(?:\s*[:,;=\t]\s*|\.?\s+)(?P<name>\S.*)")


class Declared(NamedTuple):
    """The content of a class list."""

    classes: Classes
    coded: Colors | None
    """How colour masks are read; None unless every class has a colour."""


def unnamed(count: int) -> Classes:
    """Return `count` classes named class_0, class_1, ..."""
    return Classes(tuple(f"class_{index}" for index in range(count)), palette.colors(count))


def declared(root: Path) -> Declared | None:
    """Return the first class list of a folder, in the order of `LISTS`; None if there is none.

    Raises:
        UsageError: the list is faulty.
    """
    path = list_of(root)
    return LISTS[path.name](path) if path else None


def list_of(root: Path) -> Path | None:
    """Return the first class list of a folder, in the order of `LISTS`; None if there is none."""
    return next((root / name for name in LISTS if has_entry(root / name)), None)


def written(classes: Classes) -> str:
    """Return the text of a classes.yaml with these names and colours."""
    entries = {
        index: {"name": name, "color": list(color)}
        for index, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))
    }
    return yaml.safe_dump(entries, default_flow_style=None, allow_unicode=True, sort_keys=False)


def in_order(path: Path, names: Sequence[str], colors: Mapping[str, Color] | None = None) -> Declared:
    """Return classes whose ids are their positions in `names`.

    Args:
        path: the list, named in messages.
        colors: a colour per name. None or empty: generated colours, and masks are not read by colour.

    Raises:
        UsageError: no name, more than 255 names, a name twice, or one colour for two classes.
    """
    if not colors:
        return Declared(_distinct(path, tuple(names), palette.colors(len(names))), None)
    ids: dict[Color, int] = {}
    for index, name in enumerate(names):
        _own(path, ids, colors[name], index)
    return Declared(_distinct(path, tuple(names), tuple(colors[name] for name in names)), Colors(ids))


def _of_text(path: Path) -> Declared:
    """Read one name per line; the first is class 0. Lines that begin with # are comments.

    If all lines begin with their ids (`0 sky`, `1: road`), which run from 0 without a gap, these count and not the
    order of the lines.

    labelme's `__ignore__` on the first line is void and has no id. Lines of CVAT (`name:red,green,blue:parts:actions`)
    give colours; if none does, the colours of PASCAL VOC apply.
    """
    lines = [line.strip() for line in text_of(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and all(_CVAT.fullmatch(line) for line in lines):
        return _of_cvat(path, [match for line in lines if (match := _CVAT.fullmatch(line))])
    lines = lines[1:] if lines[:1] == [_IGNORED] else lines
    numbered = {int(found["id"]): found["name"] for line in lines if (found := _NUMBERED.fullmatch(line))}
    if sorted(numbered) == list(range(len(lines))) and len(set(numbered.values())) == len(lines):
        lines = [numbered[index] for index in range(len(lines))]
    return in_order(path, lines)


def _of_cvat(path: Path, lines: Sequence[re.Match[str]]) -> Declared:
    codes = [line["color"] for line in lines]
    if not any(codes):  # Datumaro writes labels without colours this way, and draws them in VOC's palette
        names = [line["name"] for line in lines]
        _distinct(path, tuple(names), palette.colors(len(names)))
        return in_order(path, names, dict(zip(names, palette.voc(len(names)), strict=True)))
    if not all(codes):
        raise UsageError(f"{path}: {lines[codes.index(None)]['name']!r} has no color; give every label one, or none")
    return _colored(path, [(line["name"], line["color"].split(",")) for line in lines])


def _of_pixel_values(path: Path) -> Declared:
    """Read Roboflow's `_classes.csv`: a header, then `value, name` per line."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(text_of(path).splitlines()) if row]
    entries = {row[0]: row[1] for row in rows[1:] if len(row) == 2}
    if len(entries) < max(1, len(rows) - 1):
        raise UsageError(f"{path}: expected a header and then lines of `value, name`, each value once")
    return _of_entries(path, entries)


def _of_color_table(path: Path) -> Declared:
    """Read `class_dict.csv`: `name, red, green, blue` per line, perhaps below a header."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(text_of(path).splitlines()) if row]
    if any(len(row) != 4 for row in rows):
        raise UsageError(f"{path}: expected a header and then lines of `name, red, green, blue`")
    header = not (rows and all(_NUMBER.fullmatch(cell) for cell in rows[0][1:]))
    return _colored(path, [(row[0], row[1:]) for row in rows[header:]])


def _colored(path: Path, rows: Sequence[tuple[str, Sequence[str]]]) -> Declared:
    names = [name for name, _ in rows]
    _distinct(path, tuple(names), palette.colors(len(names)))
    return in_order(path, names, {name: _color(path, index, list(code)) for index, (name, code) in enumerate(rows)})


def _of_yaml(path: Path) -> Declared:
    """Read a class list in YAML or JSON (JSON is YAML).

    An entry is `0: sky` or `0: {name: sky, color: [70, 130, 180]}`. A color may also be "#4682b4" or a list of
    colours, of which the first is shown for the class. Ids run from 0 without a gap; 255 may give the colours of
    void. JSON may be `{"0": "sky"}`, `{"sky": 0}` or `["sky"]`. Names are taken as written, including `no` and `off`.
    """
    try:
        entries = _Strings(text_of(path)).get_single_data()
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if isinstance(entries, list):
        entries = {str(index): entry for index, entry in enumerate(entries)}
    if not isinstance(entries, dict):
        raise UsageError(f"{path}: expected lines of `id: name`")
    return _of_entries(path, entries)


class _Strings(yaml.BaseLoader):
    """Load YAML with all scalars as text, because YAML 1.1 reads `no`, `off`, `on` and `y` as booleans."""


def _mapping(loader: yaml.BaseLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    found = loader.construct_mapping(node, deep=True)
    if len(found) < len(node.value):
        keys = [loader.construct_object(key) for key, _ in node.value]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise yaml.constructor.ConstructorError(None, None, f"{twice!r} occurs twice", node.start_mark)
    return found


_Strings.add_constructor("tag:yaml.org,2002:map", _mapping)


def _of_entries(path: Path, entries: Mapping[str, Any]) -> Declared:
    """Read entries from the text of an id to a name or to its fields, or from a name to the text of its id."""
    if not any(_is_id(key) for key in entries) and all(isinstance(value, str) for value in entries.values()):
        entries = {str(value): name for name, value in entries.items()}
    count = len(entries) - (str(IGNORE_INDEX) in entries)
    if not all(map(_is_id, entries)) or {int(key) for key in entries} - {IGNORE_INDEX} != set(range(count)):
        raise UsageError(
            f"{path}: class ids must run from 0 to {count - 1} without a gap (255 is void){_gaps(entries)}"
        )
    names, ids = [], dict[Color, int]()
    shown = list(palette.colors(count))
    coded = True
    for index in sorted(map(int, entries)):
        value = entries[str(index)]
        entry = value if isinstance(value, dict) else {"name": value}
        if set(entry) - {"name", "color"} or not (isinstance(entry.get("name"), str) and entry["name"].strip()):
            raise UsageError(f"{path}: class {index} needs `name` and may have `color`, got {value!r}")
        colors = _colors(path, index, entry["color"]) if "color" in entry else []
        for color in colors:
            _own(path, ids, color, index)
        if index != IGNORE_INDEX:
            names.append(entry["name"].strip())
            shown[index] = colors[0] if colors else shown[index]
            coded &= bool(colors)
    return Declared(_distinct(path, tuple(names), tuple(shown)), Colors(ids) if coded else None)


def _gaps(entries: Mapping[str, Any]) -> str:
    """Return how masks whose values have gaps are read; empty if the entries have other faults, too."""
    if not all(map(_is_id, entries)) or any(isinstance(entry, dict) for entry in entries.values()):
        return ""
    ids = sorted(map(int, entries))
    place = next((place for place, value in enumerate(ids) if place != value), 0)
    grey = f"{place}: {{name: {entries[str(ids[place])]}, color: [{', '.join([str(ids[place])] * 3)}]}}"
    return f"; if masks hold {', '.join(map(str, ids[:5]))}, number on and give each value as color: `{grey}`"


def _is_id(key: str) -> bool:
    return re.fullmatch(r"0|[1-9]\d*", key) is not None


def _own(path: Path, ids: dict[Color, int], color: Color, index: int) -> None:
    if ids.setdefault(color, index) != index:
        raise UsageError(f"{path}: color {list(color)} is of class {ids[color]} and of class {index}")


def _colors(path: Path, index: int, value: Any) -> list[Color]:
    several = isinstance(value, list) and value and not any(_NUMBER.fullmatch(str(part)) for part in value)
    return [_color(path, index, part) for part in (value if several else [value])]


def _color(path: Path, index: int, value: Any) -> Color:
    try:
        color = ImageColor.getrgb(value) if isinstance(value, str) else tuple(int(part) for part in value)
        if len(color) == 3 and all(0 <= part <= 255 for part in color):
            return color[0], color[1], color[2]
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{path}: color {value!r} of class {index}; write [red, green, blue] in 0..255 or '#rrggbb'")


def _distinct(path: Path, names: tuple[str, ...], colors: tuple[Color, ...]) -> Classes:
    if not 1 <= len(names) <= IGNORE_INDEX:
        raise UsageError(f"{path}: {len(names)} classes; it must name 1 to {IGNORE_INDEX}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{path}: class name {twice!r} occurs twice")
    return Classes(names, colors)


LISTS: Mapping[str, Callable[[Path], Declared]] = {
    "classes.yaml": _of_yaml,
    "classes.yml": _of_yaml,
    "classes.json": _of_yaml,
    "classes.txt": _of_text,
    "labels.txt": _of_text,
    "class_names.txt": _of_text,
    "labelmap.txt": _of_text,
    "_classes.csv": _of_pixel_values,
    "class_dict.csv": _of_color_table,
}
"""Class list files and their readers. The first file that exists is used."""
