"""The search on copies of this project: 16 commits, one of which takes more time or memory. Slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.bisection import read_journal

ROOT = Path(__file__).parents[2]
COMMITS, AT = 16, 11
THIN = """
_thin = {"stackwise_filters": (64, 24, 32, 40), "stackwise_blocks": (1, 1, 1, 1)}
object.__setattr__(BACKBONES["resnet18"], "arguments", {**BACKBONES["resnet18"].arguments, **_thin})
"""
SLEEP = """

def _slower(self, batch, logs=None, finish=TrainingMonitor.on_train_batch_end):
    now = time.perf_counter()
    time.sleep(0.15 * min(now - getattr(self, "_left", now), 1.0))
    self._left = time.perf_counter()
    finish(self, batch, logs)


TrainingMonitor.on_train_batch_end = _slower
"""
KEEP = """

def _keeping(self, epoch, logs=None, begin=TrainingMonitor.on_epoch_begin):
    self._kept = np.ones((200, 2**20), np.uint8)
    begin(self, epoch, logs)


TrainingMonitor.on_epoch_begin = _keeping
"""
MONITOR = "bench/trial/monitor.py"
FAULTS = {
    "images_per_second": (SLEEP, "Look at the clock after every step"),
    "memory": (KEEP, "Keep the pictures of the epoch for later"),
}
SETTINGS = [
    "model.backbone=resnet18", "model.weights=none", "model.aspp_channels=16", "model.decoder_channels=16",
    "data.size=64", "data.crop=64", "data.test_limit=2", "eval.pictures=0", "eval.keep_checkpoint=none",
]  # fmt: skip
LENGTH = {
    "images_per_second": [
        "train.epochs=2", "train.steps_per_epoch=40", "train.batch_size=8", "data.train_limit=64", "data.val_limit=8",
        "eval.window_steps=5",
    ],
    "memory": [
        "train.epochs=1", "train.steps_per_epoch=8", "train.batch_size=4", "data.train_limit=8", "data.val_limit=2",
        "eval.window_steps=2",
    ],
}  # fmt: skip


def git(folder, *arguments):
    who = {f"GIT_{role}_{what}": "copy@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, env={**os.environ, **who}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def copies(folder, metric):
    """Make a repository of this project with a thin ResNet18; commit 0 has the tag `good`, commit AT a fault."""
    folder.mkdir()
    files = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in files:
        if not name.startswith(("results/releases/", "tests/", "docs/")) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    add(folder / "models" / "encoder" / "backbones.py", THIN)
    git(folder, "init", "--quiet", "--initial-branch=main")
    fault, what = FAULTS[metric]
    for number in range(COMMITS + 1):
        if number == AT:
            add(folder / MONITOR, fault)
        add(folder / "README.md", f"\nRemark {number}.\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", what if number == AT else f"Remark {number} in the README")
        if number == 0:
            git(folder, "tag", "good")
    return folder


def add(path, text):
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("metric", FAULTS)
def test_a_costly_commit_is_found_among_16_of_this_project(tmp_path, metric):
    project = copies(tmp_path / "project", metric)
    sets = [part for one in SETTINGS + LENGTH[metric] for part in ("--set", one)]
    options = ["--grid", "losses", "--only", "loss=cross_entropy", "--preset", "smoke", *sets, "--disturbed"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench.bisect", "good", "main", "--metric", metric, *options),
            *("--turns", "24", "--out", str(tmp_path / "search")),
        ],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    print(done.stdout)
    answer = read_journal(tmp_path / "search").answer
    named = [commit.number for commit in answer.commits]
    if metric == "memory":
        assert (done.returncode, named) == (1, [AT])
    elif answer.outcome == "undecided":
        pytest.skip("this machine is too busy to see 15 % in 24 turns")
    else:
        assert done.returncode == 1
        assert AT in named, "a quiet machine names the one, a busy one a range"
    assert not (project / ".git" / "worktrees").exists() or not [*(project / ".git" / "worktrees").iterdir()]
