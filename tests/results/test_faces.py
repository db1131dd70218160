"""The faces of results: every name resolves, and no file of the room stands in front of one."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

HOME = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("room", "modules"),
    [
        ("results", ["margins", "release", "scaling", "statistics"]),
        ("results.statistics", []),
        ("results.comparison", []),
    ],
)
def test_no_file_has_the_name_of_a_function_of_its_face(room, modules):
    """An imported file becomes an attribute of its package, before the face is asked: `results.history`, say."""
    face = import_module(room)
    for path in (HOME / room.replace(".", "/")).glob("[!_]*.py"):
        import_module(f"{room}.{path.stem}")
    assert [name for name in face.__all__ if isinstance(getattr(face, name), ModuleType)] == modules
