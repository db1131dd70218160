"""Every command of the README is run, with its own words: what stands for a name of the user's is filled in.

What only reads runs in the process of the tests. What trains, and what needs a trained run, is run as a user does it,
at a small size: slow. What needs more than one machine or revision is run in another form by the tests that `ELSEWHERE`
names. `make venv` needs a network, and is how these tests came to run.
"""

import importlib.util
import itertools
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import bench
import results
from bench.__main__ import app
from bench.core import CACHE_VARIABLE, signals
from bench.plan import grid
from tests.commands.documented import commands_of, inline_commands_of
from tests.invented_runs import lifelike
from tests.results.test_budgets import _training as training

PROJECT = Path(bench.__file__).parents[1]
README = PROJECT / "README.md"
READS = {
    "--help": 0,
    "list losses": 0,
    "list backbones": 0,
    "data check ~/cats --out sheet.png": 0,
    "data split ~/cats": 0,
    "compare 0.2.0-synthetic.2 runs/NAME": 0,
    "report runs/A runs/B": 0,
    "status runs/NAME": 0,
    "budget runs/NAME": 0,
    "run --grid recipes/camvid --data-root DIR": 2,  # DIR is not CamVid, whose licence keeps it out of here
}
"""Commands that run in the process of the tests, with their exit status."""
TRAINS = {
    "new": "run --grid losses --data-root ~/cats",
    "dry": "run --grid losses --only loss=dice,focal --dry-run",
    "heads": "run --grid heads --seeds 5 --set train.epochs=20",
    "resume": "run --resume runs/NAME",
    "decided": "run --grid losses --until decided",
    "target": "run --grid losses --until-metric miou=0.6",
    "predict": "predict runs/NAME --trial CELL --images DIR --out OUT",
    "export": "export runs/NAME/TRIAL DIR --format onnx",
    "score": "score MAPS --data-root DIR --split val --label unet --out runs/unet",
    "law": "check-loss",
    "site": "site DIR",
}
"""Commands of the slow tests by the name under which these run them."""
ELSEWHERE = {
    "versus main . --grid smoke": "tests/versus/test_versus_real.py",  # a revision may need an environment of its own
    "bisect GOOD BAD --grid smoke --only loss=dice": "tests/bisection/test_bisect.py",
    "audit runs/NAME/TRIAL": "tests/audit/test_audit_command.py",
    "run --address auto --out /shared/runs": "tests/cluster/test_command.py",
    "submit": "tests/cluster/test_submit.py",
}


def test_every_command_is_run():
    shown = [*commands_of(README), *inline_commands_of(README)]
    assert {shlex.join(words).replace("'", "") for words in shown if words != ["NAME"]} == {
        *READS, *TRAINS.values(), *ELSEWHERE
    }  # fmt: skip
    source = Path(__file__).read_text()
    assert all(f'.run("{name}"' in source for name in TRAINS)
    for command, file in ELSEWHERE.items():
        option = command.split()[1] if command.startswith("run") else f"bench.{command.split()[0]}"
        assert option in (PROJECT / file).read_text(), f"{file} does not run {command}"


def pictures(root, count=20):
    """Bright discs on a dark ground, their masks, and the names of the two classes."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    y, x = np.mgrid[:48, :64]
    for number in range(count):
        center, radius = rng.uniform(12, 36, 2), rng.uniform(6, 12)
        disc = (y - center[0]) ** 2 + (x - center[1]) ** 2 < radius**2
        image = rng.integers(0, 80, (48, 64, 3)) + 150 * disc[..., None]
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{number:02}.png")
        Image.fromarray(disc.astype(np.uint8)).save(root / "masks" / f"{number:02}.png")
    (root / "classes.txt").write_text("ground\ndisc\n")
    return root


def filled(command, names, home):
    """The words of a command, with the user's names for those of the README."""
    return [str(names.get(word, word)).replace("~", str(home)) for word in shlex.split(command)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's folder: pictures, a copy of a published run, and two runs of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signals, "install", lambda: None)  # the handlers are those of the tests
    pictures(tmp_path / "cats")
    return tmp_path


@pytest.mark.parametrize("command", READS)
def test_a_command_that_reads_runs(home, monkeypatch, command):
    if "runs/A" in command:
        for name in "AB":
            lifelike.write_run(home / "runs" / name, labels=["dice", "focal"], seeds=2, pictures=0)
    elif command.startswith("budget"):
        for epochs in (10, 100):
            for loss, seed in itertools.product(("dice", "focal"), range(3)):
                record = training(loss, epochs, 0.4 + 0.001 * seed, seed)
                results.write(home / "runs" / "NAME" / "trials" / record.trial, record)
    elif "runs/NAME" in command:
        shutil.copytree(results.locate("0.2.0-synthetic.2") / "losses", home / "runs" / "NAME")
    words = filled(command, {"DIR": "cats"}, home)
    monkeypatch.setattr(sys, "argv", ["segbench", *words])
    done = CliRunner().invoke(app, words)
    assert done.exit_code == READS[command], done.output
    if command.startswith("data check"):
        assert Image.open("sheet.png").width > 300
    elif command.startswith("data split"):
        assert len(Path("cats/val.txt").read_text().split()) == 4  # a fifth of 20
    assert done.output.strip()


def test_the_grid_is_one(tmp_path):
    (text,) = (block for block in README.read_text().split("```yaml\n")[1:])
    (tmp_path / "mine.yaml").write_text(text.partition("```")[0])
    found = grid.load(str(tmp_path / "mine.yaml"))
    assert len(found.cells) == 3 * 2
    assert found.description == "Which loss for my cats?"


SMALL = [
    "--preset", "smoke", "--only", "loss=cross_entropy,dice", "--gpus-per-trial", "0", "--set", "train.epochs=1",
    "--set", "train.steps_per_epoch=4", "--set", "train.batch_size=4", "--set", "data.size=64",
    "--set", "data.crop=64", "--set", "model.aspp_channels=16", "--set", "model.decoder_channels=16",
]  # fmt: skip


class User:
    """Somebody who has a folder of pictures, and types the commands of the README there."""

    def __init__(self, home):
        self.home, self.cats, self.mine = home, pictures(home / "cats"), home / "runs" / "mine"
        keys = sorted(path.stem for path in (self.cats / "images").iterdir())
        for split, chosen in {"train": keys[:12], "val": keys[12:16], "test": keys[16:]}.items():
            (self.cats / f"{split}.txt").write_text("\n".join(chosen) + "\n")

    def run(self, name, *more, statuses=(0,), names=None):
        """Run a command of `TRAINS` with `more` behind it, and the names of this user for those of the README."""
        home = str(self.home)
        words = filled(TRAINS[name], names or {}, home)
        done = subprocess.run(
            [sys.executable, "-m", "bench", *words, *map(str, more)],
            cwd=home, env={**os.environ, "HOME": home, "PYTHONPATH": str(PROJECT), CACHE_VARIABLE: f"{home}/cache"},
            capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        assert done.returncode in statuses, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @property
    def trials(self):
        return sorted(path.name for path in (self.mine / "trials").iterdir())


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    user = User(tmp_path_factory.mktemp("home"))
    said = user.run("new", *SMALL, "--seeds", 1, "--name", "mine")
    assert "runs/mine/report/report.html" in said
    assert len(user.trials) == 2
    return user


@pytest.mark.slow
def test_a_run_is_resumed(user):
    shutil.rmtree(user.mine / "trials" / user.trials[0])
    assert "1 trial to do" in user.run("resume", names={"runs/NAME": "runs/mine"})
    assert len(user.trials) == 2


@pytest.mark.slow
def test_dry_runs(user):
    assert "2 cells x 3 seeds = 6 trials" in " ".join(user.run("dry").split())
    assert "20 x" in user.run("heads", "--dry-run")  # 20 epochs of 4 heads and 5 seeds would take hours here


@pytest.mark.slow
def test_runs_that_end_by_themselves(user):
    small = [*SMALL, "--data-root", user.cats]
    user.run("decided", *small, "--max-seeds", 2, "--name", "decided", statuses=(0, 3))
    user.run("target", *small, "--seeds", 1, "--name", "target")
    assert "until miou 0.6" in (user.home / "runs" / "target" / "report" / "report.md").read_text()


@pytest.mark.slow
def test_weights_predict_and_label_maps_are_scored(user):
    names = {"runs/NAME": "runs/mine", "CELL": user.trials[0], "DIR": "cats/images", "OUT": "maps"}
    user.run("predict", names=names)
    assert sum(path.name.endswith("-overlay.png") for path in (user.home / "maps").iterdir()) == 20
    assert "unet, seed 0: mIoU" in user.run("score", names={"MAPS": "maps", "DIR": "cats"})


@pytest.mark.slow
def test_a_model_leaves(user):
    with_onnx = importlib.util.find_spec("tf2onnx") is not None
    names = {"runs/NAME/TRIAL": user.mine / "trials" / user.trials[0], "DIR": "out"}
    said = user.run("export", statuses=(0,) if with_onnx else (2,), names=names)
    assert (user.home / "out" / "README.md").is_file() if with_onnx else "extra `export`" in said


@pytest.mark.slow
def test_laws_and_history(user):
    assert "holds" in user.run("law", "dice")
    user.run("site", names={"DIR": "pages"})
    assert (user.home / "pages" / "index.html").is_file()
