"""Real runs whose loss, backbone and head are a user's own, on an embedded cluster and on one that is joined."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import results
from tests.faults import own_code

PROJECT = Path(__file__).resolve().parents[2]


def command(module, *arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", f"bench.{module}", *map(str, arguments)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip


def records(run):
    found = [results.read(path) for path in sorted(Path(run).glob("trials/*/record.json"))]
    return {(record.label, record.seed): record for record in found}


@pytest.mark.slow
def test_own_code_is_kept_hashed_and_run_by_the_workers(tmp_path):
    source = own_code.write(tmp_path)
    (tmp_path / "grid.yaml").write_text(own_code.GRID)
    fixed = ("--preset", "smoke", "--seeds", 1, "--gpus-per-trial", 0, "--name", "r")
    misspelt = command("run", "--grid", "grid.yaml", *fixed, "--set", "model.head=ownpkg.parts:haed", cwd=tmp_path)
    assert misspelt.returncode == 2
    assert "error: model.head: module ownpkg.parts has no 'haed'; did you mean 'head'?" in misspelt.stderr
    assert not (tmp_path / "runs").exists()

    done = command("run", "--grid", "grid.yaml", *fixed, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "r"
    first = records(run)
    assert set(first) == {("mine", 0), ("cross_entropy", 0)}
    mine, plain = first["mine", 0], first["cross_entropy", 0]
    names = ("Mine", "small", "head", "recall")
    assert set(mine.spec["own_code"]) == {f"ownpkg.parts:{name}" for name in names}
    for view in mine.views:
        truth = view.confusion[1]
        assert view.own == {"ownpkg.parts:recall": pytest.approx(truth[1] / sum(truth))}
    (digest,) = set(mine.spec["own_code"].values())
    assert (run / "code" / digest / "ownpkg" / "parts.py").read_text() == own_code.CODE
    assert mine.objective.params == {"factor": 2.0}
    assert mine.objective.gradient_scale.initial == pytest.approx(2.0, rel=1e-3)
    losses = [record.history[0].train.loss for record in (mine, plain)]
    assert losses[0] == pytest.approx(2 * losses[1], rel=0.2)
    page = (run / "report" / "report.md").read_text()
    assert f"ownpkg.parts:Mine {digest}" in page
    assert "Metrics of your own" in page

    # The run goes on with the code that it was planned with; the same grid with changed code is of other cells.
    source.write_text(own_code.CODE.replace("self.factor * tf", "3.0 * self.factor * tf"))
    grown = command("run", "--resume", "runs/r", "--seeds", 2, "--changed", "keep", cwd=tmp_path)
    assert grown.returncode == 0, grown.stdout + grown.stderr
    assert records(run)["mine", 1].objective.gradient_scale.initial == pytest.approx(2.0, rel=1e-3)
    added = command("run", "--resume", "runs/r", "--grid", "grid.yaml", "--changed", "keep", cwd=tmp_path)
    assert added.returncode == 0, added.stdout + added.stderr
    cells = {cell["cell"] for cell in json.loads((run / "run.json").read_text())["cells"]}
    assert len(cells) == 4
    scales = sorted(
        record.objective.gradient_scale.initial
        for path in run.glob("trials/mine-*/record.json")
        if (record := results.read(path)).seed == 0
    )
    assert scales == pytest.approx([2.0, 6.0], rel=1e-3)

    trial = run / "trials" / f"mine-{mine.cell[:6]}-s1"
    source.unlink()
    images = tmp_path / "images"
    images.mkdir()
    (images / "one.png").write_bytes(next(trial.glob("pictures/*-image.png")).read_bytes())
    predicted = command("predict", "runs/r", "--trial", trial.name, "--images", "images", "--out", "maps", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "maps" / "one.png").is_file()


@pytest.mark.slow
def test_own_code_reaches_the_workers_of_a_cluster_that_was_started_elsewhere(tmp_path):
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("/")  # its workers start there
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        own_code.write(tmp_path)
        (tmp_path / "grid.yaml").write_text(own_code.GRID)
        fixed = ("--preset", "smoke", "--seeds", 1, "--gpus-per-trial", 0, "--name", "r", "--only", "loss=mine")
        done = command("run", "--grid", "grid.yaml", *fixed, "--address", made.address, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert records(tmp_path / "runs" / "r")["mine", 0].status == "ok"
    finally:
        made.shutdown()
