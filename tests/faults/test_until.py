"""Runs that decide which trials come next, by the real command and real Ray: a kill, a resume, failures."""

import json
import os
import signal

import numpy as np
import pytest
from rich.console import Console

import results
from bench.core import UsageError
from bench.execution import RunRequest, UntilRequest, session
from bench.plan import GridRequest
from tests.faults.driver import SHORT, Driver

LOSSES = ("cross_entropy", "dice", "focal")


def until(*more, losses=LOSSES):
    return (
        "--grid", "losses", "--only", f"loss={','.join(losses)}", "--gpus-per-trial", 0, "--name", "r", "--until",
        "decided", *SHORT, *more,
    )  # fmt: skip


def noise(spoiled=None, seeds=5):
    """Equal losses, of which one may be spoiled."""
    rng = np.random.default_rng(3)
    scores = {loss: (0.7 + 0.004 * rng.standard_normal(seeds)).tolist() for loss in LOSSES}
    return scores | ({spoiled: [score - 0.2 for score in scores[spoiled]]} if spoiled else {})


def decided(run):
    decision = results.decision_of(results.read_manifest(run))
    return decision.look(one.record for one in results.read_run(run).trials)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("undisturbed")
    driver = Driver(cwd, *until("--max-seeds", 5), faults={"scores": noise()})
    status, said = driver.end()
    return status, said, decided(driver.run)


@pytest.mark.slow
def test_a_killed_worker_and_a_resumed_run_decide_what_an_undisturbed_one_does(tmp_path, undisturbed):
    status, said, straight = undisturbed
    assert status == (0 if straight.ended == "decided" else 3), said
    faults = {"scores": noise(), "cross_entropy": "kill once", "focal": "wait at 2"}
    driver = Driver(tmp_path, *until("--max-seeds", 5, "--retries", 1), faults=faults)
    driver.wait_for(lambda: any(driver.run.glob("trials/focal-*-s2/log.txt")) or driver.process.poll() is not None)
    os.kill(driver.process.pid, signal.SIGINT)
    assert driver.end()[0] == 130
    (tmp_path / "faults.json").write_text(json.dumps({"scores": noise()}))
    again = Driver(tmp_path, "--resume", tmp_path / "runs" / "r", "--max-concurrent", 2)
    assert again.end()[0] == status
    assert (tmp_path / "runs" / "r" / "killed-cross_entropy").exists()
    assert decided(driver.run) == straight


def test_a_spoiled_loss_is_left_out_early_and_the_report_says_so(tmp_path):
    driver = Driver(tmp_path, *until("--max-seeds", 3), faults={"scores": noise("focal")})
    status, said = driver.end()
    found = decided(driver.run)
    [spoiled] = found.out
    assert (found.out[spoiled].seeds, len(list(driver.run.glob("trials/focal-*")))) == (2, 2)
    assert "Left out after 2 seeds: focal (1" in said
    text = (driver.run / "report" / "report.md").read_text()
    assert "Left out: focal after 2 seeds (at least" in text
    assert "Asked before the first trial: which cell is best" in text
    for absent in ("P(best)", "| group |", "detects a true difference", "indistinguishable"):
        assert absent not in text
    assert status == (0 if found.ended == "decided" else 3)
    # What was fixed stays: another plan, other seeds or another cell are refused, in one line, before anything runs.
    for request, why in (
        (RunRequest(until=UntilRequest("best within 3 points")), "its plan was fixed before the first trial"),
        (RunRequest(GridRequest(seeds=9)), "the cells and seeds of a run that decides were fixed"),
        (RunRequest(GridRequest(grid="smoke")), "the cells and seeds of a run that decides were fixed"),
    ):
        with pytest.raises(UsageError, match=why):
            session.resume(driver.run, request, session.Frontend(Console(quiet=True), lambda *_: True))


@pytest.mark.slow
def test_a_cell_that_always_fails_is_set_aside_and_not_worse(tmp_path):
    driver = Driver(tmp_path, *until("--max-seeds", 3), faults={"scores": noise(), "focal": "nan"})
    status, said = driver.end()
    found = decided(driver.run)
    assert (status, [*found.failed.values()], found.out) == (4, [2], {}), said
    assert "Set aside after 2 seeds, too many of their trials failed: focal" in said
