"""All commands under one name, from any folder, with the suite's own packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import bench
from bench.__main__ import COMMANDS, app
from tests.commands.documented import commands_of

PROJECT = Path(bench.__file__).parents[1]


def segbench(*arguments, cwd, program=("bench",)):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", *program, *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_command_is_one_of_them(tmp_path):
    files = {path.stem for path in (PROJECT / "bench").glob("*.py")} - {"__init__", "__main__"}
    folders = {path.parent.name for path in (PROJECT / "bench").glob("*/__main__.py")}
    assert {name.replace("-", "_") for name in COMMANDS} == files | folders
    shown = segbench("-h", cwd=tmp_path)
    assert shown.returncode == 0
    for name in COMMANDS:
        assert f"│ {name} " in shown.stdout


def test_a_list_of_the_commands_imports_none_of_them(tmp_path):
    code = (
        "import sys; from typer.testing import CliRunner; from bench.__main__ import app;"
        "assert 'compare' in CliRunner().invoke(app, ['--help']).output;"
        "print([name for name in sys.modules if name in ('bench.compare', 'bench.run', 'pandas', 'ray', 'tensorflow')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_options_and_exit_statuses_are_those_of_the_command(tmp_path):
    assert segbench("--version", cwd=tmp_path).stdout == f"segbench {bench.__version__}\n"
    both = [segbench("grids", "--json", cwd=tmp_path, program=("bench.list",)),
            segbench("list", "grids", "--json", cwd=tmp_path)]  # fmt: skip
    assert both[0].stdout == both[1].stdout
    assert "losses-all" in both[1].stdout
    assert "--columns" in segbench("data", "sheet", "-h", cwd=tmp_path).stdout
    missing = segbench("report", "nowhere", cwd=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    unknown = segbench("lst", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "no command 'lst'; did you mean 'list'?" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--sedes", "3"], "No such option: --sedes (Possible options: --max-seeds, --seeds, --set)"),
        (["run", "--seeds", "[red]"], "Invalid value for '--seeds'"),
        (["report"], "Missing argument 'runs'"),
        (["data", "chek", "here"], "No such command 'chek'. Did you mean 'check'?"),
        (["trial", "--set"], "Option '--set' requires an argument"),
    ],
)
def test_what_the_command_line_does_not_have_is_said_in_one_line(arguments, message, tmp_path):
    done = segbench(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["models/__init__.py", "losses.py"])
def test_packages_of_the_working_directory_are_left_alone(tmp_path, name):
    theirs = tmp_path / name
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("raise SystemExit('theirs')")
    (tmp_path / "results").mkdir()  # a plain folder is no package
    own = theirs.parent if theirs.name == "__init__.py" else theirs
    for what in ("backbones", "losses"):
        done = segbench(what, cwd=tmp_path, program=("bench.list",))
        assert done.returncode == 0
        assert done.stderr == f"note: {own} is not imported: the suite has a package {own.stem!r} of its own\n"


def test_published_releases_are_found_from_any_folder(tmp_path):
    done = segbench("history", "--only", "no such cell", cwd=tmp_path)
    assert "no such cell" in done.stderr
    assert "no release is published" not in done.stderr


PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_name_commands_and_options_that_exist(page):
    """Parsed as the command does it. Those of the README are run, too (test_readme.py)."""
    for words in commands_of(page):
        if words[0].startswith("perf.") or "..." in words:
            continue
        group = typer.main.get_command(app)
        outer = group.make_context("segbench", [*words], resilient_parsing=False)
        _, command, rest = group.resolve_command(outer, [*words])
        context = command.make_context(words[0], rest, parent=outer)
        if hasattr(context.command, "resolve_command"):
            name, inner, more = context.command.resolve_command(context, rest)
            inner.make_context(name, more, parent=context)
