"""A job's process and how it ends: real processes, fresh and forked, killed, hung, frozen; no Ray."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.execution import forked_process, supervisor
from bench.execution.supervisor import End, Limits

PROJECT = Path(__file__).resolve().parents[2]
KINDS = {"fresh": (), "forked": ("fault_jobs:warm_up", "for", "these")}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def warm_up(request):
    return request.param


@pytest.fixture
def run(tmp_path, monkeypatch, warm_up):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(Path(__file__).parent)]))

    def run(job, payload=None, warm_up=warm_up, **limits):
        told, log = [], tmp_path / "log.txt"
        payload, limits = payload or {}, Limits(**limits)
        end = supervisor.run(f"fault_jobs:{job}", payload, str(log), limits, told.append, warm_up=warm_up)
        return end, told, log.read_text()

    yield run
    forked_process.end_server()


def forked(function):
    """A test of processes that are forked."""
    return pytest.mark.parametrize("warm_up", [KINDS["forked"]], ids=["forked"])(function)


def _await_end(*processes):
    deadline = time.monotonic() + 20
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes):
        assert time.monotonic() < deadline, "it outlived its parent"
        time.sleep(0.05)


def test_a_job_tells_prints_and_returns(run):
    end, told, log = run("fine", {"epoch": 2})
    assert end == End("returned")
    assert told == [{"event": "step", "epoch": 2}]
    assert log == "printed by the job\n"


def test_an_exception_is_told_and_its_traceback_is_in_the_log(run):
    end, _, log = run("raises")
    assert end == End("raised", "RuntimeError: raised in the job")
    assert "in raises" in log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_an_exception_is_told_even_if_the_log_takes_nothing(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(Path(__file__).parent)]))
    end = supervisor.run("fault_jobs:raises", {}, "/dev/full", Limits(), lambda event: None)
    assert end == End("raised", "RuntimeError: raised in the job")


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
def test_a_job_ends_with_its_parent(tmp_path, job, warm_up):
    code = f"""
from bench.execution.supervisor import Limits, run
log, warm_up = {str(tmp_path / "log")!r}, {warm_up!r}
run("fault_jobs:{job}", {{}}, log, Limits(), lambda event: print("told", flush=True), warm_up=warm_up)
"""
    path = os.pathsep.join([str(PROJECT), str(Path(__file__).parent)])
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout.readline() == "told\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) == (2 if warm_up else 1), "the job, and the server that forked it"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _await_end(*children)


@forked
def test_the_processes_of_jobs_share_imports_and_nothing_else(run):
    first, second = (run("leaves_marks")[1][0] for _ in range(2))
    assert first["parent"] == second["parent"] != os.getpid()
    assert first["pid"] != second["pid"]
    for one in (first, second):
        assert (one["warmed"], one["marks"]) == (["for", "these"], [])
        assert one["imports_s"] >= 0.01


@forked
@pytest.mark.parametrize("change", ["imports", "code", "environment"])
def test_a_server_serves_only_jobs_of_its_imports_its_code_and_its_environment(run, monkeypatch, change):
    before = run("leaves_marks")[1][0]
    warm_up = ("fault_jobs:warm_up", "for", "others") if change == "imports" else KINDS["forked"]
    if change == "code":
        monkeypatch.setattr(forked_process, "present_code_version", lambda: "0123456789ab")
    elif change == "environment":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    after = run("leaves_marks", warm_up=warm_up)[1][0]
    assert after["parent"] != before["parent"]
    assert after["warmed"] == list(warm_up[1:])
    assert not psutil.pid_exists(before["parent"])


@forked
@pytest.mark.parametrize("fault", ["raises", "segfaults", "lacks", "starts_a_thread"])
def test_where_the_imports_fail_the_job_has_a_fresh_process(run, fault):
    end, told, log = run("leaves_marks", warm_up=(f"fault_jobs:{fault}", "{}", ""))
    assert end == End("returned")
    assert (told[0]["parent"], told[0]["warmed"]) == (os.getpid(), None)
    said = {"raises": "raised in the job", "segfaults": "in segfaults", "lacks": "no attribute 'lacks'"}
    assert said.get(fault, "the imports started threads") in log


@forked
def test_imports_that_hang_are_ended_like_a_job(run):
    end, _, log = run("fine", {"epoch": 1}, warm_up=("fault_jobs:hangs_while_it_imports",), stall=5.0)
    assert (end.kind, end.may_pass) == ("stalled", True)
    assert "in hangs_while_it_imports" in log


@forked
def test_a_job_ends_with_its_server_and_the_next_has_another(run):
    end, told, _ = run("kills_its_parent")
    assert (end.kind, end.signal) == ("died", "SIGKILL")
    if psutil.pid_exists(told[0]["pid"]):
        _await_end(psutil.Process(told[0]["pid"]))
    after = run("leaves_marks")[1][0]
    assert after["parent"] != os.getpid()
    server = psutil.Process(after["parent"])
    server.kill()  # while no job runs
    _await_end(server)
    assert run("leaves_marks")[1][0]["parent"] not in (after["parent"], os.getpid())
