"""YAML as people write it: a value that YAML's rules silently replace by another one is a fault here.

Every room may import this file. It imports none of ours.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError

_ANOTHER_BASE = re.compile(r"[-+]?(0[0-7_]*[0-7]|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""Numbers that YAML 1.1 reads to the base of 8, such as 0320, which is 208, or to that of 60, such as 1:30."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a key that is given twice and a number that is read to another base than ten."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping. A key of its own may replace one that `<<` brings in, but not another of its own."""
        seen: dict[Any, yaml.Mark] = {}
        for key_node, _ in getattr(node, "written", None) or node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                continue
            key = self.construct_object(key_node)
            if key in seen:
                first = f"; first in line {seen[key].line + 1}"
                raise ConstructorError(None, None, f"key {key!r} is given twice{first}; keep one", key_node.start_mark)
            seen[key] = key_node.start_mark
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Take in what `<<` names, and remember the keys as they were written."""
        if not hasattr(node, "written"):
            node.written = list(node.value)  # type: ignore[attr-defined]
        super().flatten_mapping(node)

    def _number(self, node: yaml.ScalarNode) -> Any:
        text = self.construct_scalar(node)
        if _ANOTHER_BASE.fullmatch(text):
            base = "60" if ":" in text else "8"
            raise ConstructorError(
                None, None, f"YAML reads {text} to the base of {base}; write the number in decimal", node.start_mark
            )
        kind = node.tag.rpartition(":")[2]
        return self.construct_yaml_int(node) if kind == "int" else self.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader._number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader._number)


def load_yaml(text: str | bytes) -> Any:
    """Return the content of a YAML document. Bytes are UTF-8, or UTF-16 with a byte order mark.

    >>> load_yaml("{a: &one {x: 1, y: 2}, b: {<<: *one, y: 3}}")["b"]
    {'x': 1, 'y': 3}

    Raises:
        yaml.YAMLError: the text is not YAML, gives a key twice, or has a number to another base than ten.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
