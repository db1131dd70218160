"""The command as a user types it: bad input is one line and status 2, before anything is written or trained."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

import results
from bench import report, run
from bench.core import StorageLost, UsageError, command
from bench.execution.resumption import choose_trials_to_redo
from bench.execution.search import candidates
from bench.plan import checks, grid
from tests.commands.here import call

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def bench(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": PROJECT}
    return subprocess.run(
        [sys.executable, "-m", "bench.run", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The command in this process: its exit status, and what it wrote."""

    def here(*arguments, main=run.main):
        return call(main, *arguments, cwd=tmp_path, patch=monkeypatch, capsys=capsys)

    return here


def folder(root, sizes=((40, 40), (40, 40)), ids=1):
    """A data set of one training and one validation pair."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for key, size in zip(("a", "b"), sizes, strict=True):
        Image.new("RGB", (40, 40)).save(root / "images" / f"{key}.png")
        mask = np.zeros(size, np.uint8)
        mask[:4] = ids
        Image.fromarray(mask).save(root / "masks" / f"{key}.png")
    (root / "train.txt").write_text("a\n")
    (root / "val.txt").write_text("b\n")
    return root


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid", "loses"], "unknown grid 'loses'; did you mean 'losses'?"),
        (["--set", "train.epoch=3"], "unknown field 'train.epoch'; did you mean 'train.epochs'?"),
        (["--set", "model.backbone=resnet19"], "resnet18"),
        (["--only", "loss=dicee"], "did you mean 'dice'?"),
        (["--dataset", "scene"], "unknown dataset 'scene'; did you mean 'scenes'?"),
        (["--dataset", "folder", "--data-root", "absent"], "absent"),
        (["--gpus-per-trial", "9", "--preset", "smoke", "--set", "train.batch_size=9"], "9 GPUs"),
        (["--resume", "runs/absent"], "no run there"),
        (["--resume", "runs/absent", "--set", "train.epochs=3"], "--resume keeps the plan of the run"),
        (["--resume", "runs/absent", "--out", "elsewhere"], "--resume keeps the plan of the run"),
        (["--resume", "runs/absent", "--gpus-per-trial", "0"], "--resume keeps the plan of the run"),
        (["--on-oom", "explode"], "--on-oom explode: must be 'record' or 'shrink'"),
        (["--grid", "scalin"], "did you mean 'scaling'?"),
        (["--name", "a/b"], "expected a folder name without slashes"),
        (["--name", "..", "--dry-run"], "expected a folder name without slashes"),
        (["--out", "/dev/null", "--dry-run"], "--out /dev/null: /dev/null is not a writable folder"),
        (["--changed", "keep", "--dry-run"], "--changed keep: only a run that is resumed"),
        (["--only", "loss"], "--only loss: expected axis=value,value; known: loss"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, here, arguments, message):
    if arguments == ["--grid", "loses"]:  # one of them as a user has it
        done = bench(*arguments, cwd=tmp_path)
        status, told = done.returncode, done.stderr
    else:
        status, _, told = here(*arguments)
    assert status == 2, told
    assert told.count("\n") == 1
    assert told.startswith("error: ")
    assert message in told
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_target_is_a_setting_whose_form_and_score_are_checked():
    assert run._until(None) == []
    (cell, *_) = grid.load("losses", settings=run._until("mean_dice=0.6")).cells
    assert cell.spec.target == ("mean_dice", 0.6)
    for text, message in {
        "miou": "--until-metric miou: expected METRIC=VALUE, e.g. miou=0.6",
        "=0.6": "--until-metric =0.6: expected METRIC=VALUE",
        "mio=0.6": "train.until: 'mio' is not known; did you mean 'miou'?",
        "miou=high": "train.until.miou: must be a number",
        "miou=60": "train.until.miou: must be at most 1, got 60",
    }.items():
        with pytest.raises(UsageError) as caught:
            grid.load("losses", settings=run._until(text))
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_target_ends_no_candidate_of_a_search():
    found = grid.load("losses-tuned", settings=run._until("miou=0.6"))
    assert {cell.spec.target for cell in found.cells} == {("miou", 0.6)}
    assert {spec.target for _, _, spec in candidates(found)} == {None}


@pytest.mark.parametrize("fault", ["sizes", "missing mask", "unreadable", "empty split"])
def test_faults_of_a_data_set_are_found_before_training(tmp_path, here, fault):
    root = folder(tmp_path / "set", sizes=((40, 40), (30, 40)) if fault == "sizes" else ((40, 40), (40, 40)))
    if fault == "missing mask":
        (root / "masks" / "b.png").unlink()
    elif fault == "unreadable":
        (root / "images" / "b.png").write_bytes(b"not a picture")
    elif fault == "empty split":
        (root / "val.txt").write_text("")
    status, _, told = here("--dataset", "folder", "--data-root", root)
    assert status == 2
    assert told.count("\n") == 1
    assert ("val" if fault == "empty split" else "b.png" if fault == "unreadable" else "b") in told


def test_weights_that_do_not_fit_are_found_before_training(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["layer_names"] = [b"of_another_network"]
        file.create_group("of_another_network").attrs["weight_names"] = []
    weights = ("--set", f"model.weights={tmp_path / 'other.h5'}", "--set", "model.backbone=resnet18")
    done = bench("--grid", "losses", "--preset", "smoke", *weights, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: cell 'cross_entropy': weights ")
    assert "are of another architecture: layer 'conv1_conv' is missing, expected [(7, 7, 3, 64)]" in done.stderr
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_run_that_exists_is_not_touched(tmp_path, here):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "mine").write_text("kept")
    status, _, told = here("--grid", "smoke", "--name", "taken")
    assert status == 2
    assert "exists" in told
    assert (tmp_path / "runs" / "taken" / "mine").read_text() == "kept"


def test_a_place_that_is_no_folder_is_refused(tmp_path, here):
    (tmp_path / "file").write_text("")
    status, _, told = here("--grid", "smoke", "--out", "file")
    assert status == 2
    assert "not a writable folder" in told


def test_a_dry_run_shows_cells_and_placement_and_writes_nothing(tmp_path):
    done = bench("--grid", "losses", "--dry-run", "--gpus-per-trial", 0, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in (
        "cross_entropy",
        "focal_tversky",
        "7 cells x 3 seeds = 21 trials",
        "quick",
        "Cost of one training image",
        "PFLOP of training; hours unknown: no earlier run",
        # 4 bytes of 20 * 160 * 160 pixels, twice 8 classes and 3 colours; 70 and 20 more of each of 160 * 160; 10 * 8
        "Scoring scenes: about 43 MB in addition to the model (batches of 20, 8 classes, labels of up to 0.026 "
        "megapixels)",
        "Disk: 23 MB of weights per trial, 0.49 GB in all",  # 4 bytes of 5.81 M parameters; 21 trials
    ):
        assert text in " ".join(done.stdout.split())
    cost = next(line for line in done.stdout.splitlines() if "all cells" in line).split()
    # EfficientNetLite-B0 alone has 3.41 M parameters; the image alone is 0.2 MB.
    assert cost[:5] == ["all", "cells", "128", "x", "128"]
    assert 3.4 < float(cost[5]) < 10
    assert 0.1 < float(cost[7]) < 5
    assert 1 < float(cost[8]) < 200
    assert not list(tmp_path.iterdir())


def test_somebody_else_s_package_that_is_imported_already_is_named(tmp_path):
    (tmp_path / "losses.py").write_text("")
    code = "import losses, sys; sys.path.append(sys.argv[1]); from bench.core import check_rooms; check_rooms()"
    done = subprocess.run(
        [sys.executable, "-c", code, PROJECT],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "package 'losses' is shadowed" in done.stderr


@pytest.mark.parametrize("module", ["bench.report"])
def test_reading_commands_start_without_tensorflow_and_ray(tmp_path, module):
    code = f"import sys, {module}; print([m for m in ('tensorflow', 'ray', 'keras') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PROJECT},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_report_of_nothing_is_one_line(here):
    status, _, told = here("absent", main=report.main)
    assert status == 2
    assert told.count("\n") == 1
    assert "absent" in told


def test_a_full_disk_is_one_line_and_incomplete_wherever_it_shows(capsys):
    @command
    def full():
        raise StorageLost("runs/r: can no longer be written: No space left on device")

    with pytest.raises(SystemExit) as end:
        full()
    assert end.value.code == 4
    assert capsys.readouterr().err == "error: runs/r: can no longer be written: No space left on device\n"


def test_trials_scored_by_another_version_are_never_kept_beside_new_ones():
    base = {"cell": "c", "label": "dice", "seed": 0, "status": "ok", "views": [{"images": 3, "miou": 0.5}]}
    old, new = (results.Record(**base, trial=f"v{version}", scoring=version) for version in (1, 2))
    found = checks.changed([old, new], {})
    assert "scoring 1 -> 2" in found["v1"]
    assert not any("scoring" in why for why in found["v2"])
    with pytest.raises(UsageError, match=r"scores of version 1, new ones would have version 2.*--changed redo"):
        choose_trials_to_redo({"run": found}, "keep", None, checks.scored_otherwise([old, new]))
    assert choose_trials_to_redo({"run": found}, "redo", None, checks.scored_otherwise([old, new])) == {"run": found}
    assert choose_trials_to_redo({"run": found}, "keep", None, checks.scored_otherwise([new])) == {}
