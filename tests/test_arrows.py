"""Who may import whom (docs/architecture.md), read from the sources, imports inside functions included."""

import ast
import functools
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bench.core.lazy import homes

HOME = Path(__file__).resolve().parents[1]
PACKAGES = ("bench", "losses", "models", "results", "reports")
# Room -> the rooms that it may import. `commands` are the files at the top of bench/ and every __main__.py.
MAY = {
    "core": set(),
    "spec": {"core", "losses", "models"},
    "data": {"core", "spec", "losses", "results", "storage"},
    "storage": {"core", "results"},
    "plan": {"core", "spec", "data", "losses", "models", "results", "storage"},
    "trial": {"core", "spec", "data", "losses", "models", "results"},
    "execution": {"core", "spec", "plan", "results", "storage"},
    "watching": {"core", "execution", "results", "storage"},
    "jobs": {"core", "plan", "results", "storage"},
    "prediction": {"core", "spec", "data", "models", "results"},
    "scoring": {"core", "data", "results", "spec", "trial"},
    "revisions": {"core", "plan", "results", "spec", "trial"},
    "bisection": {"core", "plan", "results", "revisions"},
    "versus": {"core", "execution", "plan", "results", "revisions", "spec"},
    "export": {"core", "data", "models", "prediction", "reports", "results", "spec"},
    "audit": {"core", "data", "export", "results", "spec"},
    "study": {"core", "reports", "results"},
    "tfx": {"core", "export", "reports", "results", "trial"},
    "losses": set(),
    "models": set(),
    "results": set(),
    "reports": {"results"},
}
BENCH_ROOMS = tuple(path.name for path in sorted((HOME / "bench").iterdir()) if (path / "__init__.py").exists())
# These every room may import; they import none of ours.
EVERYBODY = ("bench.core.lazy", "bench.core.suggestions", "bench.core.faults", "bench.core.yaml_text")
FREE = ("commands", "perf")  # these may import every room
ONLY_RAY = {
    "bench/jobs/job_server.py",
    *(f"bench/execution/ray_{part}.py" for part in ("cluster", "holds", "hosts", "nodes", "reporting", "tune")),
}
LIGHT = (
    "report", "status", "submit", "compare", "publish", "history", "list", "run", "bisect", "site", "budget", "upload"
)  # fmt: skip
LIGHT_COMMANDS = {f"bench/{command}.py" for command in LIGHT}
HEAVY = {"tensorflow", "keras", "keras_cv", "ray"}
TFX = {"tfx", "tfx_bsl", "tensorflow_model_analysis", "tensorflow_transform", "ml_metadata", "apache_beam"}


def room_of(module):
    """The room of a module's dotted name."""
    package, *rest = module.split(".")
    if package != "bench":
        return package
    if rest[-1:] == ["__main__"] and rest[0] != "perf":
        return "commands"
    return rest[0] if rest and rest[0] in BENCH_ROOMS else "commands"


def imports_of(path):
    """(module, name) of all that a file imports, wherever in the file; name is empty for `import module`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its room"
            yield from ((node.module, alias.name) for alias in node.names)


@functools.cache
def files():
    """Return {file: its imports}: read once a test needs them, because every process collects this file."""
    return {path.relative_to(HOME): list(imports_of(path)) for p in PACKAGES for path in (HOME / p).rglob("*.py")}


def own(file):
    return ".".join(file.with_suffix("").parts)


def arrows():
    """(file, module, name, room of the file, room of what it imports) of each import that crosses rooms."""
    for file, imported in files().items():
        mine = room_of(own(file))
        for module, name in imported:
            if module.split(".")[0] not in PACKAGES or module in EVERYBODY:
                continue
            theirs = room_of(f"bench.{name}" if module == "bench" else module)
            same_folder = own(file).split(".")[:2] == module.split(".")[:2]  # a __main__ beside the files of its room
            if theirs != mine and not same_folder:
                yield file, module, name, mine, theirs


def is_face(module, name):
    """Whether a module is a package whose `__init__` offers the name, or a command."""
    init = HOME / module.replace(".", "/") / "__init__.py"
    if not init.exists():
        return False
    tree = ast.parse(init.read_text(encoding="utf-8"))
    offered = set(homes(init)) | {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return module == "bench" or not name or name in offered


def test_every_room_has_a_row_in_the_table():
    assert set(MAY) == {*BENCH_ROOMS, *PACKAGES} - {"bench", *FREE}


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_what_it_may(room):
    wrong = [
        (str(file), module) for file, module, _, mine, theirs in arrows() if mine == room and theirs not in MAY[room]
    ]
    assert not wrong


def test_rooms_are_entered_through_their_face():
    wrong = [
        (str(f), module, name) for f, module, name, mine, _ in arrows() if mine != "perf" and not is_face(module, name)
    ]
    assert not wrong


def test_the_page_has_the_same_table():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", (HOME / "docs/architecture.md").read_text(), re.MULTILINE)
    assert {room: set(re.findall(r"`(\w+)`", imports)) for room, imports in rows} == MAY


def test_no_file_of_a_room_bears_the_name_of_what_its_face_offers():
    """`from room import name` would give the file once that is imported, and what the face offers before."""
    inits = [path for package in PACKAGES for path in (HOME / package).rglob("__init__.py")]
    for init in inits:
        files = {path.stem for path in init.parent.glob("*.py")}
        room = ".".join(init.parent.relative_to(HOME).parts)
        wrong = {name for name, (home, _) in homes(init).items() if name in files and home != room}
        assert not wrong, f"{room}: {wrong}"


@pytest.mark.parametrize("room", ["results", "results.comparison", "results.statistics", "reports"])
def test_every_name_of_a_face_is_there(room):
    """Files of a room, which are offered as namespaces, and names of other modules."""
    face = import_module(room)
    assert [name for name in face.__all__ if getattr(face, name, None) is None] == []
    assert dir(face) == face.__all__
    assert not hasattr(face, "no_such_name")


def test_what_every_room_may_import_imports_none_of_ours():
    """Or losses, models, results and reports would depend on a room through it."""
    for name in EVERYBODY:
        file = Path(*name.split(".")).with_suffix(".py")
        assert not [module for module, _ in files()[file] if module.split(".")[0] in PACKAGES]
    code = "import losses, models, results, reports, sys; print([m for m in sys.modules if m.startswith('bench')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    loaded = {"bench", "bench.core", "bench.core.lazy", "bench.core.shadowing"}
    assert set(ast.literal_eval(done.stdout)) <= loaded


def test_no_circle_between_rooms():
    left = {room: set(rooms) for room, rooms in MAY.items()}
    while free := {room for room, rooms in left.items() if not rooms & set(left)}:
        left = {room: rooms for room, rooms in left.items() if room not in free}
    assert not left, f"in a circle: {sorted(left)}"


def test_trial_and_execution_do_not_know_each_other():
    assert "execution" not in MAY["trial"] | MAY["plan"] | MAY["data"]
    assert "trial" not in MAY["execution"] | MAY["plan"] | MAY["data"]


def test_ray_is_imported_by_the_files_of_its_name_and_the_client_of_jobs():
    assert {str(f) for f, imported in files().items() for m, _ in imported if m.split(".")[0] == "ray"} == ONLY_RAY


def test_tfx_is_imported_by_its_room_alone_which_nothing_imports():
    """Or an installation without it could do nothing. Functions that were asked for it may import it elsewhere."""
    at_the_top = {
        (str(file), module)
        for file in files()
        for node in ast.parse((HOME / file).read_text(encoding="utf-8")).body
        for module in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert not {file for file, module in at_the_top if module.split(".")[0] in TFX and "bench/tfx/" not in file}
    users = {str(f) for f, imported in files().items() for module, _ in imported if module.startswith("bench.tfx")}
    assert not {file for file in users if not file.startswith("bench/tfx/")}


def test_tables_reports_and_the_commands_that_read_them_do_without_tensorflow():
    light = {f for f in files() if str(f).startswith(("results/", "reports/"))} | {Path(f) for f in LIGHT_COMMANDS}
    assert not {str(f) for f in light for module, _ in files()[f] if module.split(".")[0] in HEAVY}
