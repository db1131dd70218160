"""A grid over two hosts with a network between them, and what is lost when that network or a host fails. Slow.

`pytest -m slow -s tests/cluster/test_hosts.py` prints the figures of docs/reliability.md.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.core import CHECKPOINT_FILE, KERAS_3
from bench.watching import look
from tests.cluster import hosts
from tests.cluster.grid_run import SECONDS, Run, figures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sys.platform != "linux" or hosts.why_not()), reason=f"no hosts: {hosts.why_not()}"),
]


@pytest.fixture
def bed(tmp_path):
    with hosts.Bed(tmp_path, "one", "two") as made:
        made.start_ray()
        yield made


def test_a_grid_runs_over_both_hosts_each_with_its_own_files(bed):
    assert Path("/tmp/home").exists() is False, "the home of the hosts is theirs"
    run = Run(bed, epochs=2, losses="dice,focal,cross_entropy,tversky")
    status, output = run.end()
    assert status == 0, output
    assert {path.name for path in (run.folder / "trials").iterdir()} == {
        record.trial for record in (run.record(path.name) for path in (run.folder / "trials").iterdir())
    }
    where = {host for path in (run.folder / "trials").iterdir() for host, _ in run.attempts(path.name)}
    assert where == {"one", "two"}
    found = look(run.folder)
    assert (found.state, found.done, found.planned) == ("complete", 4, 4)
    for host in bed.hosts.values():
        assert "address" in host.call("ls", "/tmp/ray/session_latest/..") or host.call("ls", "/tmp/ray")


def test_a_wrong_token_is_one_line_before_the_first_trial(bed):
    bed.head.call("sh", "-c", f"printf {'0' * 64} > {hosts.HOME}/.ray/auth_token")
    run = Run(bed, epochs=2)
    status, output = run.end()
    assert status == 2, output
    *_, last = output.splitlines()  # before it Ray's own log may have a line
    assert last.startswith("error: --address auto: cannot join a Ray cluster: Failed to connect"), output
    assert last.endswith("; if its head runs, ~/.ray/auth_token has to be the same there and here"), output
    assert not run.folder.exists()


def test_a_cable_pulled_for_five_seconds_costs_nothing(bed):
    run = Run(bed, epochs=200)
    there = run.wait_for(lambda: run.on("two", 3))
    run.wait_for(lambda: run.on("one", 3))
    checkpoint = run.folder / "trials" / there / CHECKPOINT_FILE
    heard = run.folder / "tensorboard" / there / "events*"  # the driver writes there what it hears of the trial
    changes = hosts.Changes(checkpoint, heard)
    changes.look(2)
    pulled = time.time()
    bed.hosts["two"].unplug()
    changes.look(5)
    bed.hosts["two"].plug()
    changes.look(20)
    status, output = run.end()
    assert status == 0, output
    assert "retried" not in output
    assert len(run.attempts(there)) == 1
    assert len(run.record(there).history) == 200
    figures(
        "cable pulled for 5 s", lost="nothing", trial_stood_still_s=round(changes.longest(checkpoint, pulled), 1),
        driver_heard_nothing_s=round(changes.longest(heard, pulled), 1), said="nothing",
    )  # fmt: skip


@pytest.mark.parametrize("fault", ["killed", "cut off for good"])
def test_a_lost_host_costs_the_epoch_in_progress_and_its_trial_goes_on_elsewhere(bed, fault):
    run = Run(bed, "--retries", 1, epochs=100)
    there = run.wait_for(lambda: run.on("two", 3))
    here = run.wait_for(lambda: run.on("one", 3))
    lost_at = time.time()
    if fault == "killed":
        bed.hosts["two"].kill()
    else:
        bed.hosts["two"].unplug()
    kept = run.epochs(there)
    run.wait_for(lambda: "it is retried" in run.output)
    told_after = time.time() - lost_at
    kept = max(kept, run.epochs(there))
    run.wait_for(lambda: len(run.attempts(there)) == 2, 600)
    began_after = time.time() - lost_at
    first_place, second_place = run.attempts(there)
    still_alive = _alive(bed, first_place[1])
    record_file = run.folder / "trials" / there / "record.json"
    run.wait_for(lambda: run.epochs(there) > kept or record_file.exists(), 600)
    went_on_after = time.time() - lost_at
    run.process.wait(900)
    status, output = run.end()
    assert status == 0, output
    assert (first_place[0], second_place[0]) == ("two", "one")
    assert (
        "node two (10.77.0.2) has left the cluster. Ray ends itself on a host that was cut off: once it is back, run "
        "there `ray start --address=10.77.0.1:6379`"
    ) in output.replace("\n", " ")
    record = run.record(there)
    assert record.status == "ok"
    assert len(record.history) == 100
    assert [epoch.epoch for epoch in record.history] == [*range(1, 101)]
    # The storage stays in reach: an attempt that was cut off may still complete the trial before the next one begins.
    resumed = record.environment.get("resumed_after_epoch")
    assert resumed is None if record.environment["attempt"] == 1 else resumed >= kept
    assert run.record(here).environment["attempt"] == 1
    said = next(line for line in output.splitlines() if "it is retried" in line)
    figures(
        f"host {fault}", completed_by_attempt=record.environment["attempt"], epochs_kept=kept,
        resumed_after_epoch=resumed, told_after_s=round(told_after),
        second_attempt_began_after_s=round(began_after), went_on_after_s=round(went_on_after),
        first_attempt_still_ran=still_alive, said=said,
    )  # fmt: skip


def test_a_host_that_is_taken_away_is_no_failure_of_its_trial(tmp_path):
    """SIGTERM to `ray start --block`, as Kubernetes sends it; then the end of the host."""
    with hosts.Bed(tmp_path, "one", "two") as bed:
        one, two = bed.hosts.values()
        one.call(*one.ray("--head", "--port=6379", "--include-dashboard=false"))
        ray = two.run(
            *two.ray(f"--address={one.address}:6379", "--block"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, environment={"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "15"},
        )  # fmt: skip
        two.call("sh", "-c", "until grep -qs 'IsAlive = 1' /tmp/ray/session_latest/logs/raylet.out; do sleep 0.5; done")
        run = Run(bed, epochs=100)  # without --retries
        there = run.wait_for(lambda: run.on("two", 3))
        taken_at = time.time()
        (blocking,) = psutil.Process(ray.pid).children()
        blocking.send_signal(signal.SIGTERM)
        run.wait_for(lambda: "it is retried" in run.output or time.time() > taken_at + 20)
        told_after = time.time() - taken_at
        kept = run.epochs(there)
        two.kill()
        status, output = run.end()
        assert status == 0, output
        assert run.attempts(there)[0][0] == "two"
        assert run.attempts(there)[-1][0] == "one"
        record = run.record(there)
        assert (record.status, len(record.history)) == ("ok", 100)
        figures(
            "host taken away", told_after_s=round(told_after), epochs_kept=kept,
            resumed_after_epoch=record.environment["resumed_after_epoch"], attempts=len(run.attempts(there)),
            said=[line for line in output.splitlines() if "it is retried" in line],
        )  # fmt: skip


def test_a_cable_pulled_for_a_minute_and_ray_started_again_on_the_host(bed):
    run = Run(bed, "--retries", 1, epochs=300)
    there = run.wait_for(lambda: run.on("two", 3))
    run.wait_for(lambda: run.on("one", 3))
    heard = run.folder / "tensorboard" / there / "events*"
    changes = hosts.Changes(heard)
    changes.look(2)
    pulled = time.time()
    bed.hosts["two"].unplug()
    changes.look(60)
    bed.hosts["two"].plug()
    while "has left the cluster" not in run.output and time.time() < pulled + 120:
        changes.look(1)
    left = "has left the cluster" in run.output
    if left:  # by then Ray on the host has ended itself, or does so now
        two = bed.hosts["two"]
        two.call("sh", "-c", "while ps -C raylet -o stat= | grep -qv Z; do sleep 0.5; done")
        two.call(*two.ray(f"--address={bed.head.address}:6379"))
        run.wait_for(lambda: "is there again" in run.output)
    back = time.time() - pulled
    status, output = run.end()
    assert status == 0, output
    assert run.record(there).status == "ok"
    assert len(run.record(there).history) == 300
    figures(
        "cable pulled for 60 s", left=left, back_after_s=round(back), attempts=run.attempts(there),
        driver_heard_nothing_s=round(changes.longest(heard, pulled), 1),
        resumed_after_epoch=run.record(there).environment.get("resumed_after_epoch"),
        said=[line for line in output.splitlines() if "retried" in line or "node two" in line],
    )  # fmt: skip


@pytest.mark.parametrize("where", ["one", "two"])
def test_a_head_that_is_restarted_ends_the_run_and_the_next_command_goes_on(tmp_path, where):
    """Ray keeps what it knows of a cluster in the memory of its head. The command runs there, or on the other host."""
    with hosts.Bed(tmp_path, "one", "two") as bed:
        bed.start_ray("--num-cpus=0")
        one, two = bed.hosts.values()
        run = Run(bed, "--retries", 1, epochs=400, host=bed.hosts[where])
        (first,) = run.wait_for(lambda: [*run.folder.glob("trials/*/record.json")])
        done = first.parent.name
        there = run.wait_for(lambda: (name := run.on("two", 3)) != done and name)
        lost_at = time.time()
        one.kill_ray()
        run.process.wait(SECONDS)
        ended_after = time.time() - lost_at
        kept, said = run.epochs(there), run.output
        finished = (run.folder / "trials" / there / "record.json").exists()  # Ray leaves it a minute for that
        two.call("sh", "-c", "while ps -C raylet -o stat= | grep -qv Z; do sleep 0.5; done")
        bed.start_ray("--num-cpus=0")
        again = Run(bed, resumes=True)
        status, output = again.end()
        assert status == 0, output
        assert again.record(done).environment["attempt"] == 1
        assert len(again.record(there).history) == 400
        assert finished or again.record(there).environment["resumed_after_epoch"] == kept
        hint = "python -m bench.run --resume /tmp/shared/runs/r --address 10.77.0.1:6379"
        assert "does not answer" in said, said
        assert hint in said.replace("\n", " "), said
        figures(
            f"head restarted, the command on {where}", status=run.process.returncode,
            command_ended_after_s=round(ended_after), finished=finished, epochs_kept=kept, said=said.splitlines()[-6:],
        )  # fmt: skip


def test_a_wire_of_one_megabit_slows_nothing_but_the_start(bed):
    bed.hosts["two"].slow_down("1mbit")
    began = time.time()
    run = Run(bed, epochs=10, losses="dice,focal,cross_entropy,tversky")
    run.wait_for(lambda: run.on("two", 1))
    first_epoch = time.time() - began
    status, output = run.end()
    assert status == 0, output
    assert "retried" not in output
    where = [run.attempts(path.name)[0][0] for path in (run.folder / "trials").iterdir()]
    figures("wire of 1 Mbit/s", first_epoch_there_after_s=round(first_epoch), trials_there=where.count("two"))


@pytest.mark.skipif(bool(hosts.NO_LOSS), reason=hosts.NO_LOSS)
@pytest.mark.parametrize("percent", [1, 5])
def test_a_wire_that_loses_packets_costs_no_trial(bed, percent):
    bed.hosts["two"].lose(percent)
    began = time.time()
    run = Run(bed, "--retries", 1, epochs=40, losses="dice,focal,cross_entropy,tversky")
    there = run.wait_for(lambda: run.on("two", 1))
    first_epoch = time.time() - began
    heard = run.folder / "tensorboard" / there / "events*"
    changes = hosts.Changes(heard)
    while run.epochs(there) < 40 and run.process.poll() is None:
        changes.look(1)
    status, output = run.end()
    assert status == 0, output
    assert "retried" not in output
    trials = [path.name for path in (run.folder / "trials").iterdir()]
    assert [len(run.record(name).history) for name in trials] == [40] * 4
    figures(
        f"{percent} of 100 packets lost each way", first_epoch_there_after_s=round(first_epoch),
        driver_heard_nothing_s=round(changes.longest(heard, began), 1), took_s=round(time.time() - began),
        trials_there=sum(run.attempts(name)[0][0] == "two" for name in trials),
    )  # fmt: skip


@pytest.mark.skipif(bool(hosts.NO_STORAGE), reason=hosts.NO_STORAGE)
def test_a_storage_that_hangs_for_a_minute_on_one_host_costs_that_minute(tmp_path):
    with hosts.Bed(tmp_path, "one", "two") as bed:
        disk = bed.hosts["two"].mount_storage()
        bed.start_ray()
        run = Run(bed, epochs=200)
        there = run.wait_for(lambda: run.on("two", 3))
        checkpoint = run.folder / "trials" / there / CHECKPOINT_FILE
        changes = hosts.Changes(checkpoint)
        changes.look(2)
        hung_at = time.time()
        disk.suspend()
        changes.look(60)
        disk.resume()
        changes.look(10)
        status, output = run.end()
        assert status == 0, output
        assert len(run.attempts(there)) == 1
        assert len(run.record(there).history) == 200
        figures(
            "storage of one host hung for 60 s", lost="nothing",
            trial_stood_still_s=round(changes.longest(checkpoint, hung_at), 1), said=output.splitlines()[2:-4],
        )  # fmt: skip


@pytest.mark.skipif(bool(hosts.NO_STORAGE), reason=hosts.NO_STORAGE)
@pytest.mark.parametrize("comes_back", [False, True])
def test_a_host_that_has_lost_the_storage_takes_no_trial_until_it_is_back(tmp_path, comes_back):
    with hosts.Bed(tmp_path, "one", "two") as bed:
        two = bed.hosts["two"]
        disk = two.mount_storage()
        bed.start_ray()
        run = Run(bed, epochs=60, losses="dice,focal,cross_entropy,tversky,bce,focal_tversky")  # without --retries
        there = run.wait_for(lambda: run.on("two", 3))
        lost_at = time.time()
        disk.kill()
        run.wait_for(lambda: "cannot write" in run.output)
        told_after, kept = time.time() - lost_at, run.epochs(there)
        if comes_back:
            run.wait_for(lambda: len(run.attempts(there)) == 2 or len([*run.folder.glob("trials/*/record.json")]) == 2)
            two.call("umount", "--lazy", hosts.SHARED)
            run.wait_for(lambda: "can write the folder of the run again" in run.output)
        status, output = run.end()
        assert status == 0, output
        folder = f"{hosts.SHARED}/runs/r/trials/{there}"
        said = (
            f"host two cannot write {folder}: Transport endpoint is not connected. No trial is started there until it"
        )
        assert output.replace("\n", " ").count(said) == 1, output
        trials = [path.name for path in (run.folder / "trials").iterdir()]
        assert [(run.record(name).status, len(run.record(name).history)) for name in trials] == [("ok", 60)] * 6
        assert run.record(there).environment["resumed_after_epoch"] >= kept
        there_later = {name for name in trials if run.attempts(name)[-1][0] == "two"}
        assert bool(there_later) == comes_back
        figures(
            f"storage of one host gone{', and back' * comes_back}", told_after_s=round(told_after), epochs_kept=kept,
            resumed_after_epoch=run.record(there).environment["resumed_after_epoch"],
            said=[line for line in output.splitlines() if "can" in line], trials_there=len(there_later),
        )  # fmt: skip


def test_a_full_disk_on_one_host_costs_no_trial(bed):
    run = Run(bed, "--retries", 1, epochs=10, losses="dice,focal,cross_entropy,tversky")
    run.wait_for(lambda: run.on("two", 1))
    bed.hosts["two"].fill_disk()
    status, output = run.end()
    ends = {path.name: run.record(path.name) for path in (run.folder / "trials").iterdir()}
    told = {name: (record.status, record.error and record.error.message) for name, record in ends.items()}
    where = {name: run.attempts(name) for name in ends}
    figures(
        "full disk on one host", status=status, ends=told, where=where, said=output.splitlines()[-25:],
    )  # fmt: skip
    assert status == 0, output


@pytest.mark.skipif(KERAS_3, reason="refused there")
@pytest.mark.parametrize("which", ["first", "other"])
def test_a_host_that_trains_together_with_another_is_lost_and_the_trial_goes_on_with_a_third(tmp_path, which):
    """One trial on two of three hosts, beside that of the command; one of the two loses its power."""
    with hosts.Bed(tmp_path, "one", "two", "three", "four") as bed:
        bed.start_ray("--num-cpus=0")
        run = Run(bed, "--retries", 1, "--set", "placement.hosts=2", epochs=12, losses="dice")
        (trial,) = run.wait_for(lambda: [path.name for path in (run.folder / "trials").glob("*")])
        run.wait_for(lambda: run.epochs(trial) >= 3)
        first = run.attempts(trial)[0][0]
        training = [name for name, host in bed.hosts.items() if _trains(host)]
        assert len(training) == 2
        assert first in training
        victim = next(name for name in training if (name == first) == (which == "first"))
        lost_at = time.time()
        bed.hosts[victim].kill()
        run.wait_for(lambda: "it is retried" in run.output)
        told_after, kept = time.time() - lost_at, run.epochs(trial)
        run.wait_for(lambda: len(run.attempts(trial)) == 2)
        began_after = time.time() - lost_at
        run.wait_for(lambda: run.epochs(trial) > kept)
        went_on_after = time.time() - lost_at
        status, output = run.end()
        assert status == 0, output
        record = run.record(trial)
        assert (record.status, [epoch.epoch for epoch in record.history]) == ("ok", [*range(1, 13)])
        assert {*record.environment["hosts"]} == {*bed.hosts} - {victim, "one"}
        assert record.environment["resumed_after_epoch"] >= kept
        assert not any(_trains(host) for name, host in bed.hosts.items() if name != victim)
        figures(
            f"one of two hosts of a trial killed, the {which}", epochs_kept=kept,
            resumed_after_epoch=record.environment["resumed_after_epoch"], told_after_s=round(told_after),
            second_attempt_began_after_s=round(began_after), went_on_after_s=round(went_on_after),
            said=[line for line in output.splitlines() if "it is retried" in line],
        )  # fmt: skip


def _trains(host):
    """Whether the process of a trial runs on a host."""
    found = host.call("sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    return "bench.execution.worker_process" in found


def _alive(bed, pid):
    """Whether a process of the second host still runs, by its id there."""
    two = bed.hosts["two"].pid
    if not Path(f"/proc/{two}").exists():
        return False
    done = subprocess.run(["nsenter", f"--target={two}", "--mount", "--pid", "test", "-d", f"/proc/{pid}"], check=False)
    return done.returncode == 0 and os.path.exists(f"/proc/{two}")
