"""The project's own code side by side: its last commit and its working tree, and commits of a copy until decided."""

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


def git(*arguments, folder=ROOT):
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
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


def commit(folder, path, old, new):
    """Replace what a file of a copy says, and commit it."""
    text = (folder / path).read_text()
    assert text.count(old) == 1
    (folder / path).write_text(text.replace(old, new))
    assert git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qam", new, folder=folder) == ""
    return git("rev-parse", "HEAD", folder=folder)


def compared(folder, out, base, head, losses, seeds):
    """Run `bench.versus BASE HEAD --until decided` in a copy; return how it ended, and the folders of both runs."""
    grid = folder.parent / f"{out}.yaml"
    grid.write_text(yaml.safe_dump({"preset": "smoke", "base": BASE, "axes": {"loss": losses}}))
    variables = {**os.environ, "PYTHONPATH": str(folder), "TMPDIR": str(folder.parent)}
    words = ["--grid", grid, "--out", folder.parent / out, "--until", "decided", "--max-seeds", seeds]
    done = subprocess.run(
        [sys.executable, "-m", "bench.versus", base, head, *map(str, words)],
        env=variables, cwd=folder, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    return done, folder.parent / out / "base", folder.parent / out / "head"


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_real_trials_until_equal_code_is_ok_and_lower_scores_are_found(tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(copy)], check=True, capture_output=True)
    base = git("rev-parse", "HEAD", folder=copy)
    same = commit(copy, "LICENSE", "END OF TERMS", "End of terms")
    worse = commit(copy, "bench/trial/evaluator.py", '"miou": mean_of_known(iou)', '"miou": 0.5 * mean_of_known(iou)')

    done, *sides = compared(copy, "equal", base, same, ["dice"], 2)
    rows = {row.metric: row for row in results.compare(*sides).rows}
    assert (rows["miou"].verdict, rows["miou"].method, rows["miou"].change) == ("ok", "sequential", 0.0), done.stderr
    assert {record.seed for record in (one.record for one in results.read_run(sides[1]).trials)} == {0, 1}
    asked = [results.read_manifest(side).get(name) for side in sides for name in ("until", "until_speed")]
    assert asked[:2] == [None, None]
    assert [one["metrics"] for one in asked[2:]] == [2, 2]

    done, *sides = compared(copy, "lower", base, worse, ["cross_entropy", "dice"], 5)
    assert done.returncode == 1, done.stdout + done.stderr
    rows = [row for row in results.compare(*sides).rows if row.metric == "miou"]
    assert "regressed" in {row.verdict for row in rows}
    assert all(row.change == pytest.approx(-0.5 * row.base, rel=0.01) for row in rows)
    assert len(results.read_run(sides[1]).trials) < 10, "it ended before the last seed"
    for side, named in zip(sides, (base, worse), strict=True):
        records = [one.record for one in results.read_run(side).trials]
        assert {record.environment["git_commit"] for record in records} == {named[:12]}
    assert len(git("worktree", "list", folder=copy).splitlines()) == 1
    assert not list(tmp_path.glob("segmentation-bench-*"))
