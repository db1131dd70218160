"""The face of a room: what others may import from it, resolved when it is first used.

A room's `__init__.py` lists its public names once, as imports under `TYPE_CHECKING`, which is what type checkers and
readers see. At run time the same list is read from the source. A file of the room is imported when one of its names
is first used (PEP 562). So a command that needs one function of a room does not import TensorFlow or Ray for it.

Every room may import this file. It imports none of ours.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def homes(init: str | Path) -> dict[str, tuple[str, str]]:
    """Return the module from which each public name of a face is imported, and its name there, by public name.

    Args:
        init: path of the room's `__init__.py`.
    """
    tree = ast.parse(Path(init).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in imports for alias in node.names}


def face(room: str, init: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a room.

    Args:
        room: the room's `__name__`.
        init: the room's `__file__`.
    """
    found = homes(init)

    def resolve(name: str) -> Any:
        if name not in found:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        home, original = found[name]
        module = None if home == room else import_module(home)  # the room itself: asking it would end here again
        # As `from home import original` does: a name of the module, else a file of it, used as a namespace.
        return getattr(module, original) if hasattr(module, original) else import_module(f"{home}.{original}")

    return resolve, lambda: sorted(found), sorted(found)
