"""Who may import whom (docs/architecture.md), read from the sources: rooms, Ray, TensorFlow."""

import ast
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1]
ROOMS = ("bench", "losses", "models", "results", "reports")
MAY = {"losses": {"losses"}, "models": {"models"}, "results": {"results"}, "reports": {"reports", "results"}}
WITHOUT_TENSORFLOW = {f"bench/{command}.py" for command in ("report", "compare", "publish", "history", "list", "run")}


def imported(path):
    """The first names of all that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its room"
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


FILES = {str(path.relative_to(HOME)): imported(path) for room in ROOMS for path in (HOME / room).rglob("*.py")}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    mine = {file: names for file, names in FILES.items() if file.startswith(f"{room}/")}
    assert mine
    wrong = {file: names & set(ROOMS) - MAY.get(room, set(ROOMS)) for file, names in mine.items()}
    assert not {file: names for file, names in wrong.items() if names}


def test_ray_is_imported_by_the_scheduler_alone():
    assert {file for file, names in FILES.items() if "ray" in names} == {"bench/schedule.py"}


def test_tables_reports_and_the_commands_that_read_them_do_without_tensorflow():
    light = {file for file in FILES if file.startswith(("results/", "reports/"))} | WITHOUT_TENSORFLOW
    assert set(FILES) > WITHOUT_TENSORFLOW
    assert not {file for file in light if FILES[file] & {"tensorflow", "keras", "keras_cv", "ray"}}
