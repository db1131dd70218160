"""The project's own code side by side: its last commit, and its working tree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import results
from bench.core import code_version

ROOT = Path(__file__).parents[2]
BASE = {
    "model.weights": "none", "model.aspp_channels": 16, "model.decoder_channels": 16, "data.size": 64,
    "data.crop": 64, "data.train_limit": 8, "data.val_limit": 4, "data.test_limit": 2, "train.epochs": 1,
    "train.steps_per_epoch": 2, "train.batch_size": 2, "eval.window_steps": 1, "eval.pictures": 0,
}  # fmt: skip


def git(*arguments):
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_last_commit_against_the_working_tree(tmp_path):
    grid = tmp_path / "two-steps.yaml"
    grid.write_text(yaml.safe_dump({"preset": "smoke", "seeds": 2, "base": BASE, "axes": {"loss": ["cross_entropy"]}}))
    (tmp_path / "tmp").mkdir()
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")}
    commit, changed = git("rev-parse", "--short=12", "HEAD"), bool(git("status", "--porcelain"))
    code = code_version()
    done = subprocess.run(
        [sys.executable, "-m", "bench.versus", "HEAD", ".", "--grid", str(grid), "--out", str(tmp_path / "out")],
        env=variables, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr  # two steps teach little: mIoU is noise
    assert str(tmp_path) not in git("worktree", "list")
    assert not list((tmp_path / "tmp").glob("segmentation-bench-*"))
    for side, named in (("base", commit), ("head", commit + "+" * changed)):
        records = [one.record for one in results.read_run(tmp_path / "out" / side).trials]
        assert {record.status for record in records} == {"ok"}
        assert {record.seed for record in records} == {0, 1}
        assert {record.environment["git_commit"] for record in records} == {named}
        if side == "head":
            assert {record.environment["code"] for record in records} == {code}
    found = results.compare(tmp_path / "out" / "base", tmp_path / "out" / "head")
    assert not found.gaps
    assert {row.metric for row in found.rows} >= {"miou", "images_per_second", "peak_rss_mb", "start_s"}
    written = [sys.executable, "-m", "bench.report", str(tmp_path / "out" / "head")]
    subprocess.run(written, env=variables, cwd=ROOT, check=True, capture_output=True)
