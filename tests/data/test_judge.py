"""Splits that can teach or judge nothing are refused before anything trains, and classes never trained are named."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench import data, run
from bench.core import UsageError
from bench.data import Dataset, load
from bench.data.__main__ import app
from bench.data.dataset import Split
from bench.data.judge import judged, shortened
from bench.spec import DataSpec, TrialSpec
from bench.trial import trial
from tests.commands.here import call

KEYS = {"train": "abcd", "val": "vw", "test": "t"}


@pytest.fixture
def folder(tmp_path):
    """Four pictures to train, two to validate, one to test; each mask is half class 0 and half class 1."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for split, keys in KEYS.items():
        for key in keys:
            Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(tmp_path / f"images/{key}.png")
            draw(tmp_path, key, 0, 1)
        (tmp_path / f"{split}.txt").write_text("\n".join(keys))
    return tmp_path


def draw(folder, keys, *ids):
    """Masks of as many bands as ids."""
    for key in keys:
        rows = np.resize(np.repeat(np.array(ids, np.uint8), 20 // len(ids)), 20)
        Image.fromarray(rows[:, None].repeat(30, 1)).save(folder / f"masks/{key}.png")


def fault(folder, **fields):
    with pytest.raises(UsageError) as caught:
        load(DataSpec(dataset="folder", root=str(folder), **fields))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("split", KEYS)
def test_a_split_without_a_labelled_pixel(folder, split):
    draw(folder, KEYS[split], 255)
    count = f"{len(KEYS[split])} image{'s' * (len(KEYS[split]) > 1)}"
    assert f"the split {split} ({count}) has no labelled pixel, all are void (255)" in fault(folder)
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("split", KEYS)
@pytest.mark.parametrize("ids", [(0,), (1,), (1, 255), (255, 0)])
def test_one_class_alone_whatever_its_id(folder, split, ids):
    draw(folder, KEYS[split], *ids)
    only = next(one for one in ids if one != 255)
    assert f"the split {split} (" in fault(folder)
    assert f"has only one class, 'class_{only}' (id {only})" in fault(folder)


def test_one_class_alone_in_the_whole_set(folder):
    draw(folder, "abcdvwt", 1, 255)
    assert "the split train (4 images) has only one class, 'class_1' (id 1), so there is nothing to learn" in fault(
        folder
    )


def test_foreground_of_a_binary_set_is_one_class(folder):
    draw(folder, "abcdt", 0, 255)
    draw(folder, "vw", 255)
    assert "the split val (2 images) has only one class, 'foreground' (id 1)" in fault(folder)
    draw(folder, "vw", 255, 0)
    assert load(DataSpec(dataset="folder", root=str(folder))).splits["val"].present.tolist() == [[True, True]] * 2


def test_a_limit_that_leaves_one_class(folder):
    """It is the pictures that a run takes which count."""
    kept = load(DataSpec(dataset="folder", root=str(folder), train_limit=1)).splits["train"].keys[0]
    draw(folder, kept, 1)
    load(DataSpec(dataset="folder", root=str(folder)))
    assert "the split train (1 image) has only one class" in (line := fault(folder, train_limit=1))
    assert "or raise data.train_limit" in line


def test_classes_that_train_lacks_are_named(folder):
    draw(folder, "w", 0, 1, 3)
    draw(folder, "t", 0, 1, 2)
    notes = load(DataSpec(dataset="folder", root=str(folder))).notes
    notes = [note for note in notes if "lacks" in note]
    assert [re.search(r"(\w+) has classes that train lacks.*mIoU: (.*);", note).groups() for note in notes] == [
        ("val", "class_3 (id 3)"),
        ("test", "class_2 (id 2)"),
    ]
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert result.exit_code == 0
    assert "val has classes that train lacks" in result.output


def test_classes_that_are_trained_and_not_scored_are_named(folder):
    """Their IoU is left out of mIoU, or 0 after a single pixel of them was predicted."""
    draw(folder, "abcd", 0, 1, 2, 3)
    draw(folder, "vw", 0, 1, 3)
    notes = load(DataSpec(dataset="folder", root=str(folder))).notes
    assert [re.search(r"(\w+) has no pixel of (.*?); such a class counts", note).groups() for note in notes] == [
        ("val", "class_2 (id 2)"),
        ("test", "class_2 (id 2), class_3 (id 3)"),
    ]


def test_a_line_has_ten_names_at_most():
    assert shortened("abc") == "a, b, c"
    assert shortened(str(one) for one in range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert shortened(str(one) for one in range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_a_split_of_which_nothing_is_known_is_let_through():
    split = Split(("a",), lambda key: None)
    made = Dataset("mine", ("a", "b"), ((0, 0, 0), (1, 1, 1)), "v", {"train": split, "val": split})
    assert judged(made).notes == ()


def test_run_and_trial_end_before_training(folder, tmp_path, monkeypatch, capsys):
    """In one line with exit status 2, and nothing is left behind."""
    draw(folder, "vw", 255)
    line = "the split val (2 images) has no labelled pixel"
    asked = ["--dataset", "folder", "--data-root", folder, "--out", tmp_path / "runs"]
    status, _, told = call(run.main, *asked, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert (status, told.count("\n")) == (2, 1)
    assert line in told

    asked = ["--set", "data.dataset=folder", "--set", f"data.root={folder}", "--out", str(tmp_path / "one")]
    called = [sys.executable, "-m", "bench.trial", *asked]
    done = subprocess.run(called, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2, done.stderr[-2000:]
    assert line in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_trial_that_measures_nothing_says_so(tmp_path, monkeypatch):
    """A set that tells nothing of its pictures before they are read: the first validation ends it."""
    rng = np.random.default_rng(0)

    def load_mine(spec):
        def split(ids, count):
            labels = {str(index): rng.choice(np.array(ids, np.uint8), (64, 64)) for index in range(count)}
            return Split(tuple(labels), lambda key: (np.zeros((64, 64, 3), np.uint8), labels[key]))

        return Dataset(
            "mine", ("a", "b"), ((0, 0, 0), (1, 1, 1)), "v", {"train": split([0, 1], 4), "val": split([255], 2)}
        )

    monkeypatch.setitem(data._LOADERS, "folder", "bench.data.sources.folder")
    monkeypatch.setattr("bench.data.sources.folder.load", load_mine)
    spec = TrialSpec.model_validate(
        {
            "data": {"dataset": "folder", "root": str(tmp_path), "size": 64, "crop": 64, "cache": "memory"},
            "model": {"aspp_channels": 16, "decoder_channels": 16},
            "train": {"epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "precision": "float32"},
        }
    )
    record = trial.run(spec, tmp_path / "trial")
    assert record.status == "invalid"
    assert "nothing was measured, because no pixel of the split val has a label" in record.error.message
