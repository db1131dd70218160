"""What the components do besides TFX: command lines, resumption, the blessing, and one line where TFX is missing."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.core import UsageError
from bench.tfx import judging, processes, trainer
from bench.tfx.__main__ import main
from bench.tfx.handover import found_in
from bench.tfx.trials import TrialsRequest
from tests.commands.here import call
from tests.invented_runs import chosen

ROOT = Path(__file__).resolve().parents[2]


def compared(outcome="ok", blessed=True, reasons=()):
    sides = {"head": {"name": "new"}, "base": {"name": "old"}}
    return json.dumps({"outcome": outcome, "blessed": blessed, "reasons": list(reasons), **sides})


def test_only_a_comparison_that_says_so_in_every_way_blesses():
    assert judging.of_comparison(0, compared()) == judging.Judgement(True, "ok", ("head new against base old",))
    for status, text in (
        (0, compared(blessed=False)), (0, compared(blessed="yes")), (0, compared(blessed=1)), (1, compared()),
        (4, compared()), (0, compared(outcome="inconclusive")),
    ):  # fmt: skip
        assert not judging.of_comparison(status, text).blessed, (status, text)
    for text in ("", "BLESSED", "[]", "{}", compared()[:-5]):
        with pytest.raises(UsageError, match="exit status 2 without a comparison"):
            judging.of_comparison(2, text)


def test_the_gate_asks_the_command_that_a_person_would(tmp_path):
    """Five seeds a side, noise .003: a loss of .2 is found, and the same seeds again are no loss."""
    scores = {"dice": {seed: (0.6 + 0.003 * (seed % 3), 40.0) for seed in range(5)}}
    worse = {"dice": {seed: (miou - 0.2, speed) for seed, (miou, speed) in scores["dice"].items()}}
    base, head = (chosen.made_run(tmp_path / name, one) for name, one in (("base", scores), ("head", worse)))
    judgement = judging.compare(str(base), str(head))
    assert (judgement.blessed, judgement.verdict) == (False, "regressed")
    assert any("dice" in reason for reason in judgement.reasons)
    with pytest.raises(UsageError, match="exit status 2 without a comparison"):
        judging.compare(str(base), str(tmp_path / "none"))


def test_a_veto_stays_whatever_the_comparison_says():
    judgement = judging.of_comparison(0, compared()).vetoed("Evaluator did not bless the model")
    assert (judgement.blessed, judgement.verdict) == (False, "vetoed")
    assert judgement.reasons == ("head new against base old", "Evaluator did not bless the model")


def test_a_run_without_a_base_is_blessed_only_if_that_is_allowed_and_nothing_failed():
    assert judging.of_the_first(True, 0).blessed
    assert not judging.of_the_first(False, 0).blessed
    assert judging.of_the_first(True, 2) == judging.Judgement(
        False, "incomplete", ("2 trials did not end well, and there is no base",)
    )


def test_one_file_says_whether_a_model_is_blessed(tmp_path):
    folder = tmp_path / "blessing"
    judging.write(folder, judging.of_comparison(0, compared()), {"run": "runs/r"})
    assert sorted(path.name for path in folder.iterdir()) == ["BLESSED", "judgement.json"]
    judging.write(folder, judging.of_comparison(1, compared("regressed", False, ["dice lost 3 points"])), {"run": "r"})
    assert sorted(path.name for path in folder.iterdir()) == ["NOT_BLESSED", "judgement.json"]
    assert (folder / "NOT_BLESSED").read_text() == "regressed\nhead new against base old\ndice lost 3 points\n"
    told = json.loads((folder / "judgement.json").read_text())
    assert (told["blessed"], told["verdict"], told["run"]) == (False, "regressed", "r")


def test_a_step_begins_a_run_once_and_then_resumes_it(tmp_path):
    request = TrialsRequest(tmp_path / "examples", "smoke", tmp_path / "runs", options="--seeds 3 --set 'data.size=64'")
    begun = request.arguments()
    assert begun[:6] == ["--grid", "smoke", "--dataset", "tfrecord", "--data-root", str(tmp_path / "examples")]
    assert begun[-4:] == ["--seeds", "3", "--set", "data.size=64"]
    place, name = (begun[begun.index(option) + 1] for option in ("--out", "--name"))
    assert Path(place, name) == request.folder
    assert name.startswith("trials-")
    request.folder.mkdir(parents=True)
    (request.folder / "run.json").write_text("{}")
    assert request.arguments() == ["--resume", str(request.folder)]
    joined = TrialsRequest(**{**vars(request), "address": "auto"})
    assert joined.arguments() == ["--resume", str(request.folder), "--address", "auto"]


def test_what_is_run_otherwise_has_a_folder_of_its_own(tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("axes: {loss: [dice]}\n")
    first = TrialsRequest(tmp_path, str(grid), tmp_path)
    same = TrialsRequest(tmp_path, str(grid), tmp_path, python="/usr/bin/python3", address="auto")
    assert same.folder == first.folder
    others = [
        TrialsRequest(tmp_path / "other", str(grid), tmp_path), TrialsRequest(tmp_path, "smoke", tmp_path),
        TrialsRequest(tmp_path, str(grid), tmp_path, options="--seeds 2"),
    ]  # fmt: skip
    folders = {first.folder, *(one.folder for one in others)}
    grid.write_text("axes: {loss: [focal]}\n")
    assert len({*folders, first.folder}) == 5


def test_a_command_finds_this_project_and_the_keras_that_it_locks(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    found = processes.environment()
    assert "TF_USE_LEGACY_KERAS" not in found
    assert found["PYTHONPATH"] == f"{ROOT}{os.pathsep}/elsewhere"


def test_an_interpreter_without_the_project_is_refused(tmp_path):
    assert processes.interpreter("") == sys.executable
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(UsageError, match=r"it has no ray, pydantic, keras_cv; name the interpreter"):
        processes.interpreter(str(bare))
    with pytest.raises(UsageError, match="cannot be run"):
        processes.interpreter(str(tmp_path / "none"))


def trainer_args(**given):
    files = {"train_files": ["/a/examples/1/Split-train/*"], "eval_files": ["/a/examples/1/Split-val/*"]}
    return SimpleNamespace(**{**files, "train_steps": None, "custom_config": None, **given})


def test_a_trainer_trains_a_trial_on_its_examples():
    found = trainer.arguments(trainer_args(), Path("/m/trial"))
    assert found == [
        "--preset", "smoke", "--out", "/m/trial", "--set", "data.dataset=tfrecord", "--set", "data.root=/a/examples/1",
    ]  # fmt: skip
    config = {"settings": ["loss.name=dice", "train.epochs=3"], "preset": "quick"}
    found = trainer.arguments(trainer_args(train_steps=7, custom_config=config), Path("/m/trial"))
    assert found[:2] == ["--preset", "quick"]
    assert [word for word in found if "train." in word] == [
        "train.epochs=1", "train.steps_per_epoch=7", "train.epochs=3"
    ]  # fmt: skip


def test_what_a_trainer_cannot_train_is_said():
    with pytest.raises(UsageError, match="no key 'setings'; did you mean 'settings'"):
        trainer.arguments(trainer_args(custom_config={"setings": []}), Path("t"))
    with pytest.raises(UsageError, match="one artifact; found /a/examples/1, /b"):
        trainer.arguments(trainer_args(eval_files=["/b/Split-val/*"]), Path("t"))


def test_a_run_without_weights_hands_nothing_over(tmp_path):
    run = chosen.made_run(tmp_path / "r", {"dice": {0: (0.6, 40.0)}})
    with pytest.raises(UsageError, match="kept its weights; train with eval"):
        found_in(run)
    with pytest.raises(UsageError, match="no such file or folder"):
        found_in(tmp_path / "none")


@pytest.mark.skipif(importlib.util.find_spec("tfx") is not None, reason="TFX is installed here")
def test_without_tfx_one_line_says_what_works(tmp_path, monkeypatch, capsys):
    status, _, error = call(main, tmp_path, "--root", tmp_path / "root", cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith(f"error: tfx cannot be imported by Python {sys.version.split()[0]}")
    assert "TFX 1.15.1 with TensorFlow 2.15 on Python 3.11" in error
    assert not (tmp_path / "root").exists()
