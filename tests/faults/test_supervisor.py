"""A job's process and how it ends: real processes, killed, hung, frozen; no Ray."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.execution import supervisor
from bench.execution.supervisor import End, Limits

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(Path(__file__).parent)]))

    def run(job, payload=None, **limits):
        told = []
        end = supervisor.run(
            f"fault_jobs:{job}", payload or {}, str(tmp_path / "log.txt"), Limits(**limits), told.append
        )
        return end, told, (tmp_path / "log.txt").read_text()

    return run


def test_a_job_tells_prints_and_returns(run):
    end, told, log = run("fine", {"epoch": 2})
    assert end == End("returned")
    assert told == [{"event": "step", "epoch": 2}]
    assert log == "printed by the job\n"


def test_an_exception_is_told_and_its_traceback_is_in_the_log(run):
    end, _, log = run("raises")
    assert end == End("raised", "RuntimeError: raised in the job")
    assert "in raises" in log


def test_a_job_that_is_told_to_end_may_go_on_elsewhere(run):
    end, _, log = run("told_to_end")
    assert end == End("preempted", "ended by SIGTERM, as when its machine is taken away", "SIGTERM")
    assert end.may_pass
    assert log == ""


@pytest.mark.parametrize(
    ("job", "name", "message"),
    [
        ("killed", "SIGKILL", "SIGKILL"),
        ("segfaults", "SIGSEGV", "SIGSEGV"),
        ("exits", None, "status 3 without a message"),
    ],
)
def test_a_death_is_told_by_signal_or_status(run, job, name, message):
    end, _, log = run(job)
    assert (end.kind, end.signal, end.may_pass) == ("died", name, False)
    assert message in end.message
    assert ("in segfaults" in log) == (job == "segfaults")


@pytest.mark.parametrize("job", ["hangs_in_here", "hangs_in_native_code"])
def test_a_hang_is_ended_and_its_stacks_are_in_the_log(run, job):
    end, told, log = run(job, stall=2.0)
    assert (end.kind, end.may_pass) == ("stalled", True)
    assert end.message == "no sign of life for 2 s"
    assert told[0]["epoch"] == 1
    assert f"in {job}" in log


def test_a_frozen_process_is_ended(run, monkeypatch):
    monkeypatch.setattr(supervisor, "DUMP_SECONDS", 0.2)
    assert run("freezes", stall=2.0)[0].kind == "stalled"


def test_signs_of_life_put_a_stall_off_but_not_the_end_of_the_time(run):
    pace = {"signs": 4, "every": 1.1}
    assert run("works_on", pace, stall=3.0)[0] == End("returned")
    end, _, _ = run("works_on", pace, wall=2.0)
    assert (end.kind, end.may_pass) == ("timeout", True)
    assert end.message == "not complete after 2 s, the limit of a trial"


def test_a_job_that_is_done_but_does_not_exit_is_done_and_its_stacks_are_in_the_log(run):
    end, _, log = run("leaves_a_thread", exit=0.5)
    assert end == End("returned")
    assert "It was complete, but its process had not exited after 0.5 s" in log
    assert "in _shutdown" in log
    assert run("leaves_a_grandchild", exit=0.5)[0] == End("returned")


def test_a_death_is_told_though_a_grandchild_holds_the_pipe(run):
    end, told, _ = run("dies_before_its_grandchild")
    assert end.signal == "SIGKILL"
    grandchild = psutil.Process(told[0]["grandchild"])
    assert grandchild.status() != psutil.STATUS_ZOMBIE, "the death is told only when the pipe is closed"
    grandchild.kill()


@pytest.mark.parametrize("job", ["hangs_in_here", "hangs_in_native_code"])
def test_a_job_ends_with_its_parent(tmp_path, job):
    code = f"""
from bench.execution.supervisor import Limits, run
run("fault_jobs:{job}", {{}}, {str(tmp_path / "log")!r}, Limits(), lambda event: print("told", flush=True))
"""
    path = os.pathsep.join([str(PROJECT), str(Path(__file__).parent)])
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout.readline() == "told\n"
    (child,) = psutil.Process(parent.pid).children()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it outlived its parent"
        time.sleep(0.05)
