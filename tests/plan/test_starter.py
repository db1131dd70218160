"""A first grid for a folder: it resolves as it is, and its settings fit what was seen."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from PIL import Image

from bench.plan import grid, starter_grid
from bench.plan.grid_schema import schema
from bench.plan.starter import Look

PROJECT = Path(__file__).resolve().parents[2]


def _grid(tmp_path, **facts):
    known = {"root": "/data/cats", "settings": {}, "shares": {"background": 0.6, "cat": 0.4}}
    look = Look(**{**known, "images": {"train": 80, "val": 20}, "longest": (300, 640), **facts})
    path = tmp_path / "cats.yaml"
    path.write_text(starter_grid(look))
    jsonschema.Draft202012Validator(schema()).validate(yaml.safe_load(path.read_text()))
    return path.read_text(), grid.load(str(path), preset="quick")


def test_the_grid_fits_what_was_seen(tmp_path):
    text, made = _grid(tmp_path)
    spec = made.cells[0].spec
    assert (spec.data.dataset, spec.data.root, spec.data.size, spec.data.crop) == ("folder", "/data/cats", 160, 128)
    assert [cell.label for cell in made.cells] == ["cross_entropy", "dice", "dice_bce", "focal"]
    assert made.description == "Which loss for cats?"
    assert "80 to train, 20 to validate; 2 classes" in text
    assert "up to 640 pixels" in text
    assert (spec.train.batch_size, spec.model.weights) == (8, "imagenet")


def test_rare_classes_small_images_and_few_images_change_it(tmp_path):
    shares = {"road": 0.9, "sky": 0.07, "pole [1]": 0.03}
    text, made = _grid(
        tmp_path, shares=shares, longest=(70, 100), images={"train": 5, "val": 2}, settings={"data.masks": "a: b"}
    )
    spec = made.cells[0].spec
    assert (spec.data.size, spec.data.crop, spec.train.batch_size, spec.data.masks) == (96, 64, 4, "a: b")
    assert "lovasz_softmax" in [cell.label for cell in made.cells]
    assert "pole [1] has 3.0 % of the pixels" in text
    assert "Small objects" not in text


def test_the_command_looks_at_a_folder(tmp_path):
    for key in range(4):
        for name, values in (("images", np.full((64, 48, 3), key)), ("masks", np.eye(64, 48))):
            (tmp_path / "my cats" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "my cats" / name / f"{key}.png")
    command = [sys.executable, "-m", "bench.init", "my cats"]
    options = {"cwd": tmp_path, "env": {"PYTHONPATH": str(PROJECT)}, "capture_output": True, "text": True}
    done = subprocess.run(command, **options, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        "my cats.yaml: look at it, then: python -m bench.run --grid 'my cats.yaml' --dry-run"
    )
    made = grid.load(str(tmp_path / "my cats.yaml"))
    assert {cell.spec.data.root for cell in made.cells} == {str(tmp_path / "my cats")}
    again = subprocess.run(command, **options, check=False)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "exists; name another file with --out" in again.stderr


@pytest.mark.parametrize("out", ["cats.txt", "nowhere/cats.yaml"])
def test_bad_targets_are_one_line(tmp_path, out):
    done = subprocess.run(
        [sys.executable, "-m", "bench.init", "absent", "--out", out],
        cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
