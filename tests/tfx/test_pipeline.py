"""The pipeline for real, twice: a good model is blessed and pushed, a spoiled one is not; and TFX's own Trainer."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import results
from bench.data import load
from bench.data.sources import tfrecords
from bench.spec import DataSpec
from tests.tfx.environments import ROOT, call, with_package

pytestmark = pytest.mark.slow
SETTINGS = {
    "model.weights": "imagenet", "model.aspp_channels": 32, "model.decoder_channels": 32, "data.size": 64,
    "data.crop": 64, "train.batch_size": 8, "train.epochs": 2, "train.steps_per_epoch": 30, "data.train_limit": None,
    "data.val_limit": None, "eval.window_steps": 5,
}  # fmt: skip
RATE = 'return config["peak"] * warm * decay'
NODES = (
    "ImportExampleGen", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "BenchmarkTrials", "Resolver",
    "Evaluator", "BenchmarkGate", "Pusher",
)  # fmt: skip
GATE = ["--floor", "0.01", "--slice", "image/slice/half"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Shards of 96 scenes to train and 16 to validate, a grid of one cell with three seeds, and a spoiled project.

    The scenes have a feature, by which Evaluator and the trials score slices: 5 of validation are left, 11 are right.
    """
    home = tmp_path_factory.mktemp("tfx")
    scenes = load(DataSpec(dataset="scenes", train_limit=96, val_limit=16, test_limit=4))
    splits = {
        name: replace(split, features={"half": tuple(("left", "right")[place > 4] for place in range(len(split)))})
        for name, split in scenes.splits.items()
    }
    scenes = replace(scenes, splits=splits)
    for _ in tfrecords.write(scenes, home / "shards", 48):
        pass
    base = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in SETTINGS.items())
    (home / "grid.yaml").write_text(f"preset: smoke\nseeds: 3\nbase:\n{base}axes:\n  loss: [cross_entropy]\n")
    for room in ("bench", "losses", "models", "results", "reports"):
        shutil.copytree(ROOT / room, home / "spoiled" / room, ignore=shutil.ignore_patterns("__pycache__", "releases"))
    rates = home / "spoiled/bench/trial/optimizers.py"
    assert RATE in rates.read_text()
    rates.write_text(rates.read_text().replace(RATE, f"{RATE} * 0.0"))
    return home


def pipeline(home, project, *more):
    return call(
        with_package(), "-m", "bench.tfx", home / "shards", "--root", home / "root", "--grid", home / "grid.yaml",
        "--python", sys.executable, *GATE, *more, project=project, cwd=home,
    )  # fmt: skip


@pytest.fixture(scope="module")
def answers(home):
    """The pipeline with this project, then with the spoiled one."""
    return [pipeline(home, ROOT, "--bless-first"), pipeline(home, home / "spoiled")]


def versions(home):
    return sorted(path.name for path in (home / "root/serving").iterdir())


def judgements(home):
    """What each gate wrote, oldest first."""
    files = (home / "root/artifacts/BenchmarkGate/blessing").glob("*/judgement.json")
    return [json.loads(path.read_text()) for path in sorted(files, key=lambda path: int(path.parent.name))]


def test_the_first_run_is_blessed_and_pushed(home, answers):
    status, out, error = answers[0]
    assert status == 0, error[-4000:]
    assert "blessed, pushed: " in out
    pushed = Path(out.rpartition("blessed, pushed: ")[2].strip())
    assert (pushed / "saved_model.pb").is_file()
    assert judgements(home)[0]["verdict"] == "first"
    times = dict(part.rsplit(" ", 2)[:2] for part in out.partition("time: ")[2].splitlines()[0].split(", "))
    assert {*NODES} == {*times}
    assert float(times["BenchmarkTrials"]) > float(times["ImportSchemaGen"]) > 0


def test_evaluator_counts_what_the_record_has(home, answers):
    """All metrics and slices, to the last digit: of the SavedModel on the artifact, of the weights in the trial."""
    evaluation = min((home / "root/artifacts/Evaluator/evaluation").iterdir(), key=lambda path: int(path.name))
    script = Path(__file__).with_name("read_evaluation.py")
    status, out, error = call(with_package(), script, evaluation, cwd=home)
    assert status == 0, error[-4000:]
    facts = min((home / "root/artifacts/BenchmarkTrials/run").iterdir(), key=lambda path: int(path.name))
    facts = json.loads((facts / "benchmark.json").read_text())
    trial = Path(facts["folder"]) / "trials" / facts["best_trial"]
    view, slices = results.read(trial).views[0], results.slices(results.iterate(trial))
    slices = slices[slices["split"] == "val"]
    assert dict(zip(slices["value"], slices["images"], strict=True)) == {"left": 5, "right": 11}
    assert json.loads(out.splitlines()[-1]) == {
        "mean_iou": view.miou, "mean_dice": view.mean_dice, "boundary_iou": view.boundary_iou,
        "iou": [value for value in view.iou if value is not None],
        "slices": dict(zip(slices["value"], slices["miou"], strict=True)),
    }  # fmt: skip


def test_a_spoiled_model_is_neither_blessed_nor_pushed(home, answers):
    status, out, error = answers[1]
    assert status == 1, error[-4000:]
    assert "gate: regressed" in out
    assert out.rstrip().endswith("not blessed, not pushed")
    assert len(versions(home)) == 1, "the first model still serves"
    told = judgements(home)[1]
    assert (told["blessed"], told["verdict"]) == (False, "regressed")
    assert told["base"] == judgements(home)[0]["run"], "the base is the run of the last blessed model"
    assert any("cross_entropy" in reason for reason in told["reasons"])


def test_the_runs_lie_outside_of_what_tfx_deletes_and_hold_all_their_trials(home, answers):
    runs = [Path(one["run"]) for one in judgements(home)]
    assert all(not run.is_relative_to(home / "root/artifacts") for run in runs)
    scores = [[one.record.views[0].miou for one in results.read_run(run).trials] for run in runs]
    assert [len(one) for one in scores] == [3, 3]
    assert min(scores[0]) > max(scores[1])


def test_a_repeated_pipeline_trains_nothing_and_pushes_nothing_new(home, answers):
    before = judgements(home)
    status, out, error = pipeline(home, home / "spoiled")
    assert status == 1, error[-4000:]
    assert "gate: regressed" in out
    assert judgements(home) == before, "the cache answered"
    assert "BenchmarkTrials from the cache" in out.partition("time: ")[2].splitlines()[0]


def test_a_blessing_without_the_property_is_not_pushed(home, answers):
    """A folder with the file BLESSED, imported as a ModelBlessing, is no blessing."""
    script = Path(__file__).with_name("push_without_property.py")
    status, out, error = call(with_package(), script, home, cwd=home)
    assert status == 0, error[-4000:]
    assert json.loads(out.splitlines()[-1]) == {"pushed": 0, "versions": []}


def test_a_stock_trainer_trains_a_trial(home):
    script = Path(__file__).with_name("train_by_trainer.py")
    status, out, error = call(with_package(), script, home, sys.executable, cwd=home)
    assert status == 0, error[-4000:]
    told = json.loads(out.splitlines()[-1])
    assert told["outputs"] == ["image/filename", "labels"]
    record = results.read(told["trial"])
    assert (record.status, record.history[-1].step) == ("ok", 4)
    assert record.label == "dice"
