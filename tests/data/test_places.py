"""The commands of `bench.data` take the folder of a set as an argument and as --data-root, alike."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.data.__main__ import app

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path):
    """Four images of two classes, without split files."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for key in "abcd":
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / "set" / "images" / f"{key}.png")
        Image.fromarray((np.arange(600).reshape(20, 30) % 2).astype(np.uint8)).save(
            tmp_path / "set" / "masks" / f"{key}.png"
        )
    return tmp_path / "set"


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("command", "written"), [("check", ""), ("sheet", "sheet.png"), ("convert", "converted"), ("split", "")]
)
def test_an_argument_and_an_option_name_the_same_folder(root, tmp_path, command, written):
    outputs = []
    for number, given in enumerate([("argument", root), ("--data-root", root)]):
        out = [tmp_path / f"{number}-{written}"] if written else []
        as_argument = given[0] == "argument"
        done = run(command, *([root, *out] if as_argument else [*out, *given]))
        assert done.exit_code == 0, done.output
        outputs.append(done.output.replace(str(out[0]), "OUT") if out else done.output)
        for name in ("train.txt", "val.txt"):
            (root / name).unlink(missing_ok=True)
    assert outputs[0] == outputs[1]
    twice = run(command, root, *([tmp_path / "out"] if written else []), "--data-root", root)
    assert twice.exit_code == 2
    assert "name the folder of the data set once" in twice.output


def test_a_folder_that_is_not_named_or_one_argument_too_many_is_one_line(root, tmp_path):
    for arguments, told in (
        (("split",), "name the folder of the data set: ROOT, or --data-root ROOT"),
        (("convert", tmp_path / "out"), "name the folder of the data set: ROOT, or --data-root ROOT"),
        (("sheet", root, tmp_path, tmp_path / "a.png"), "expected ROOT OUT, or OUT and --data-root ROOT"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert told in done.output
        assert done.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_shards_are_written_without_a_word_of_gpus(root, tmp_path):
    for given in ((root, tmp_path / "a"), (tmp_path / "b", "--data-root", root)):
        done = subprocess.run(
            [sys.executable, "-m", "bench.data", "prepare", *map(str, given)],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        *notes, last = done.stdout.splitlines()
        assert last.startswith(f"{given[1] if given[0] == root else given[0]}: use it with --dataset tfrecord")
        assert all(note.startswith(str(root)) for note in notes)
        done = subprocess.run(
            [sys.executable, "-m", "bench.data", "check", "--dataset", "tfrecord", last.rpartition(" ")[2]],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""
