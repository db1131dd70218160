"""The time of a hand-over between two cores: on this machine, and when one side is stopped or gone."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from bench.trial import hand_over, hand_over_peer
from bench.trial.hand_over import HandOver
from bench.trial.machine_watch import MachineWatch

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="a hand-over takes two cores, and there is one"
)
ROOT = hand_over.__file__.rpartition("/bench/")[0]


@pytest.fixture
def between():
    made = HandOver()
    yield made
    made.close()


def measured(between, seconds=30.0):
    """A time that is known. Other work on this machine may hide some, even so many in a row that no more is tried."""
    until = time.monotonic() + seconds
    while (found := between.measure()) is None:
        assert time.monotonic() < until, f"no time is known within {seconds:g} s"
        between._failures = 0
        time.sleep(0.02)
    return found


def test_two_cores_hand_a_byte_over_in_nanoseconds_and_the_thread_may_use_all_cores_again(between):
    """The loops around it take over 50 ns; a system call in between, as for a pipe, would take microseconds."""
    cores = os.sched_getaffinity(0)
    times = sorted(measured(between) for _ in range(9))
    assert 50 < times[0] < times[4] < 5000
    assert os.sched_getaffinity(0) == cores
    assert psutil.Process(between.peer).cpu_affinity() == [sorted(cores)[min(len(cores) - 1, hand_over.MOST_PAIRS)]]


def test_the_peer_sleeps_between_measurements_and_ends_with_them(between):
    measured(between)
    peer = psutil.Process(between.peer)
    before = sum(peer.cpu_times()[:2])
    time.sleep(0.5)
    assert sum(peer.cpu_times()[:2]) - before < 0.05
    between.close()
    assert not peer.is_running()
    assert between.peer is None


@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGKILL])
def test_a_peer_that_is_stopped_or_gone_costs_one_measurement(between, sent):
    measured(between)
    lost = between.peer
    os.kill(lost, sent)
    began = time.perf_counter()
    between.measure()
    assert time.perf_counter() - began < 2
    assert measured(between) > 50
    assert between.peer != lost
    assert not psutil.pid_exists(lost)


def test_a_system_that_never_answers_is_not_asked_for_ever(between, monkeypatch):
    monkeypatch.setattr(hand_over_peer, "SPINS", 0)  # as if no core were ever free
    assert [between.measure() for _ in range(hand_over.MOST_FAILURES)] == [None] * hand_over.MOST_FAILURES
    assert between.peer is None
    monkeypatch.undo()
    assert between.measure() is None


KILLED = """
import time
from bench.trial.hand_over import HandOver
from tests.trial.test_hand_over import measured
between = HandOver()
measured(between)
print(between.peer, flush=True)
time.sleep(600)
"""


def test_the_peer_of_a_process_that_is_killed_ends_by_itself():
    child = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        peer = int(child.stdout.readline())
        assert psutil.pid_exists(peer)
    finally:
        child.kill()
        child.communicate()
    until = time.monotonic() + 20
    while psutil.pid_exists(peer) and psutil.Process(peer).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)


ONE_CORE = """
import os
from bench.trial.hand_over import HandOver
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
between = HandOver()
print(between.measure(), between.peer)
"""


def test_on_one_core_nothing_is_handed_over():
    done = subprocess.run([sys.executable, "-c", ONE_CORE], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "None None\n"


def test_the_peer_imports_nothing_of_ours_and_starts_without_packages():
    line = "import sys; sys.path[:0] = ['bench/trial']; import hand_over_peer; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", line], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert not {"bench", "numpy", "subprocess", "site"} & set(done.stdout.split())
    assert hand_over_peer.question(7, 300, 200) == bytes([7, 44, 1, 0, 0, 200, 0, 0, 0])


def test_a_sample_has_it_where_it_is_asked_for_and_the_peer_is_no_work_of_the_trial():
    with MachineWatch() as watch:
        assert watch.sample().hand_over_ns is None
    with MachineWatch(hand_over=True) as watch:
        samples = [watch.sample() for _ in range(20)]
        peers = [child for child in psutil.Process().children() if "hand_over_peer" in " ".join(child.cmdline())]
        assert len(peers) == 1
    assert any(one.hand_over_ns for one in samples)
    assert not peers[0].is_running()
