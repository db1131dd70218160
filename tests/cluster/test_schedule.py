"""Ray for real: several nodes with pretended GPUs on one machine, real worker processes, real deaths."""

import gc
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bench.core import UsageError, describe, made_by
from bench.execution.supervisor import End, Limits
from bench.execution.worker_process import function
from bench.plan import GridRequest, Need, make, why_unplaceable

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def nodes(cluster):
    from bench.execution import ray_cluster

    with ray_cluster.cluster(cluster.address) as found:
        yield found


def _run(tmp_path, entry, payloads, gpus=0, limits=None, retries=0, on_event=lambda event: None):
    from bench.execution import ray_tune

    events: list[ray_tune.Event] = []
    numbers = gpus.values() if isinstance(gpus, dict) else [gpus] * len(payloads)
    jobs = [
        ray_tune.Job(name, f"jobs:{entry}", payload, str(tmp_path / f"{name}.log"), 1, number, limits or Limits())
        for (name, payload), number in zip(payloads.items(), numbers, strict=True)
    ]

    def hear(event):
        events.append(event)
        on_event(event)

    ray_tune.run(jobs, shared=tmp_path / "scratch", max_concurrent=None, listener=hear, retries=retries)
    return events


def _messages(events, job):
    return [event.data for event in events if event.job == job and event.kind == "message"]


def test_nodes_are_described(nodes):
    assert [(node.cpus, node.gpus) for node in nodes] == [(2, 2), (2, 2)]


def test_a_trial_sees_all_its_gpus_in_a_process_of_its_own(nodes, tmp_path):
    events = _run(tmp_path, "visible", {"a": {}, "b": {}}, gpus=2, retries=1)
    assert [event.end for event in events if event.kind == "ended"] == [End("returned")] * 2
    steps = {job: next(d for d in _messages(events, job) if d["event"] == "step") for job in "ab"}
    assert {step["gpus"] for step in steps.values()} == {"0,1"}
    assert steps["a"]["pid"] != steps["b"]["pid"]
    assert next(event.kind for event in events if event.job == "a") == "started"
    assert [event.kind for event in events if event.job == "a"][-1] == "ended"
    assert {step["priority"] for step in steps.values()} == {os.getpriority(os.PRIO_PROCESS, 0)}
    assert "printed by the worker" in (tmp_path / "a.log").read_text()
    assert not (tmp_path / "scratch").exists()


def test_dead_and_raising_workers_take_nobody_with_them_and_are_not_tried_again(nodes, tmp_path):
    payloads = {"killed": {"die": signal.SIGKILL}, "raising": {"raise": True}, "fine": {}}
    events = _run(tmp_path, "die", payloads, retries=1)
    ends = {event.job: event.end for event in events if event.kind == "ended"}
    assert {job: end.kind for job, end in ends.items()} == {"killed": "died", "raising": "raised", "fine": "returned"}
    assert ends["killed"].signal == "SIGKILL"
    assert ends["raising"].message == "RuntimeError: raised in the worker"
    assert [event.kind for event in events if event.kind in ("retried", "ended")] == ["ended"] * 3


def test_what_hung_is_tried_again_as_often_as_asked(nodes, tmp_path):
    payloads = {"a": {"mark": str(tmp_path / "mark")}}
    events = _run(tmp_path, "wait_at_first", payloads, limits=Limits(stall=2.0), retries=1)
    assert [event.kind for event in events if event.kind != "message"] == ["started", "retried", "started", "ended"]
    assert next(event.end.kind for event in events if event.kind == "retried") == "stalled"
    assert [data["attempt"] for data in _messages(events, "a") if data["event"] == "step"] == [1, 2]
    assert events[-1].end == End("returned")


def test_a_trial_that_has_ended_takes_no_memory_of_the_driver(nodes, tmp_path):
    from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
    from ray.tune.experiment import Trial

    def alive():
        gc.collect()
        held = [type(one) for one in gc.get_objects()]
        return [held.count(Trial), held.count(TrackedActorTask)]

    ended, left, before = [], [], alive()

    def look(event):
        if event.kind == "ended":
            ended.append(event.job)
            if len(ended) == len(payloads):
                left.extend(alive())

    payloads = {"lost": {"lose": True}, "killed": {"die": signal.SIGKILL}, **{f"fine{n}": {} for n in range(18)}}
    events = _run(tmp_path, "die", payloads, retries=1, on_event=look)
    assert sorted(ended) == sorted(payloads)
    assert [event.job for event in events if event.kind == "retried"] == ["lost"]
    trials, tasks = (now - then for now, then in zip(left, before, strict=True))
    assert trials <= 4  # the last one, and those that ended with it
    assert tasks <= len(payloads) / 2  # those of actors that live or are about to end, of which there are at most 4


def test_what_is_told_to_end_goes_on_without_counting_as_a_failure(nodes, tmp_path):
    events = _run(tmp_path, "told_to_end_at_first", {"a": {"mark": str(tmp_path / "mark")}}, retries=0)
    kinds = [event.kind for event in events if event.kind != "message"]
    assert kinds == ["started", "retried", "started", "retried", "started", "ended"]
    assert {event.end.kind for event in events if event.kind == "retried"} == {"preempted"}
    assert [data["attempt"] for data in _messages(events, "a") if data["event"] == "step"] == [1, 2, 3]
    assert events[-1].end == End("returned")


def _on_storage(place, entry, payloads, on_event, gpus):
    """The events of jobs whose logs lie in a folder, without those of Ray's own files."""
    from bench.execution import ray_tune

    events: list[ray_tune.Event] = []
    jobs = [
        ray_tune.Job(name, f"jobs:{entry}", payload, str(place / f"{name}.log"), 1, gpus)
        for name, payload in payloads.items()
    ]

    def hear(event):
        events.append(event)
        on_event(event, events)

    ray_tune.run(jobs, shared=place.parent / "scratch", max_concurrent=None, listener=hear)
    return events


def test_hosts_without_the_storage_take_one_trial_each_until_it_is_back(nodes, tmp_path):
    place = tmp_path / "storage"

    def look(event, events):
        if event.kind == "unwritable" and len({one.data["node"] for one in events if one.kind == "unwritable"}) == 2:
            threading.Timer(8, place.mkdir).start()  # until then a host that is not held takes trials and fails them

    events = _on_storage(place, "nothing", {name: {} for name in "abcdefgh"}, look, gpus=2)
    assert {event.job: event.end for event in events if event.kind == "ended"} == dict.fromkeys(
        "abcdefgh", End("returned")
    )
    lost = [event for event in events if event.kind == "unwritable"]
    assert len({event.data["node"] for event in lost}) == len(lost) == 2
    assert lost[0].data["why"].endswith(f" cannot write {place}: No such file or directory")
    assert [event.end.kind for event in events if event.kind == "retried"] == ["unwritable"] * 2
    back = [event.data["name"] for event in events if event.kind == "writable"]
    assert 1 <= len(back) <= 2  # the run may be over before both are looked at


def test_a_crash_by_the_loss_of_the_storage_is_no_failure_of_the_trial(nodes, tmp_path):
    place = tmp_path / "storage"
    place.mkdir()

    def look(event, events):
        if event.kind == "retried":
            (tmp_path / "away").rename(place)

    payload = {"place": str(place), "mark": str(tmp_path / "mark")}
    events = _on_storage(place, "loses_its_storage_at_first", {"a": payload}, look, gpus=1)
    assert [data["attempt"] for data in _messages(events, "a") if data["event"] == "step"] == [1, 2]
    assert [event.end.kind for event in events if event.kind == "retried"] == ["unwritable"]
    assert events[-1].end == End("returned")


def _over_two_hosts(tmp_path, retries=0, **fault):
    """The events of a job on two nodes with a GPU each, and the folder in which it left what it saw."""
    from bench.execution import ray_tune

    folder, events = tmp_path / "seen", []
    folder.mkdir()
    log, payload = str(tmp_path / "log.txt"), {"folder": str(folder), **fault}
    job = ray_tune.Job("a", "jobs:one_of_several", payload, log, 1, 1, hosts=2)
    ray_tune.run([job], shared=tmp_path / "scratch", max_concurrent=None, listener=events.append, retries=retries)
    return events, folder


def _all_end(folder):
    """Whether the processes of the job end; Ray kills the last of them a moment after the job."""
    pids = [int(path.read_text()) for path in folder.glob("[12]-[01]")]
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(pids) and not any(psutil.pid_exists(pid) for pid in pids)


def test_a_job_over_two_hosts_has_a_process_on_each_that_knows_all(nodes, tmp_path):
    events, folder = _over_two_hosts(tmp_path)
    assert [event.kind for event in events if event.kind != "message"] == ["started", "ended"]
    assert events[-1].end == End("returned")
    (told,) = [data for data in _messages(events, "a") if data["event"] == "step"]  # that of the first host alone
    assert len({*told["workers"]}) == 2
    (here, mine, reuse), (there, theirs, _) = (json.loads((folder / f"seen-1-{i}").read_text()) for i in range(2))
    assert here != there, "a node each"
    assert {mine, theirs} <= {"0", "1"}
    assert reuse == "1"
    assert "printed by host 0" in (tmp_path / "log.txt").read_text()
    assert "printed by host 1" in (tmp_path / "log-1.txt").read_text()
    assert _all_end(folder)


@pytest.mark.parametrize("host", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_host_that_is_lost_ends_the_attempt_on_all_and_the_job_is_tried_again(nodes, tmp_path, host):
    events, folder = _over_two_hosts(tmp_path, retries=1, host=host, fault="worker")
    kinds = [event.kind for event in events if event.kind != "message"]
    assert kinds == ["started", "retried", "started", "ended"]
    (again,) = [event.end for event in events if event.kind == "retried"]
    assert again.kind == "lost"
    assert host == 0 or again.message.startswith("host "), again
    assert events[-1].end == End("returned")
    assert [data["attempt"] for data in _messages(events, "a") if data["event"] == "step"] == [2]
    assert _all_end(folder)


def test_a_host_that_fails_by_itself_is_named_and_one_that_is_taken_away_costs_nothing(nodes, tmp_path):
    events, folder = _over_two_hosts(tmp_path, retries=1, host=1, fault="raise")
    (end,) = [event.end for event in events if event.end]
    assert (end.kind, end.message) == ("raised", f"host {platform.node()}: OSError: no such image")
    assert _all_end(folder)
    (tmp_path / "b").mkdir()
    events, _ = _over_two_hosts(tmp_path / "b", retries=0, host=1, fault="SIGTERM")
    assert [event.end.kind for event in events if event.end] == ["preempted", "returned"]


def test_more_hosts_than_there_are_nodes_are_refused(nodes):
    assert why_unplaceable([Need(1, 1, 2)], nodes) is None
    assert why_unplaceable([Need(1, 1, 3)], nodes) == (
        "a trial needs 1 CPU and 1 GPU on each of 3 nodes, but only 2 of 2 nodes can take part; give a cluster "
        "(--address) with more, or fewer placement.hosts"
    )


def test_what_no_node_can_hold_is_named(nodes):
    assert why_unplaceable([Need(1, 2)], nodes) is None
    assert why_unplaceable([Need(1, 1), Need(1, 3)], nodes).startswith(
        "a trial needs 3 GPUs, but no node has more than 2"
    )
    assert why_unplaceable([Need(64, 1)], nodes) == "a trial needs 64 CPUs and 1 GPU, but no node has both"


def test_every_node_with_so_many_gpus_is_asked_but_for_those_that_other_work_holds(nodes, monkeypatch):
    from ray.util import placement_group, remove_placement_group

    from bench.execution import cluster_checks, ray_nodes

    assert list(ray_nodes.on_every_node("jobs:answer", gpus=2).values()) == ["0,1"] * 2
    assert ray_nodes.on_every_node("jobs:answer", gpus=3) == {}
    monkeypatch.setattr(ray_nodes, "BUSY_SECONDS", 0.5)
    held = [placement_group([{"GPU": 2}])]
    assert held[0].wait(30)
    monkeypatch.setattr(cluster_checks, "_COUNT_GPUS", "jobs:answer")
    plan = make(GridRequest(grid="losses", preset="smoke", gpus_per_trial=2), nodes, None)
    with pytest.raises(UsageError, match=r"^node \S+:\d+: Ray gives a trial 2 GPUs but TensorFlow sees 0,1; inst"):
        cluster_checks.check_placement(plan, nodes)
    held.append(placement_group([{"GPU": 2}]))
    assert held[1].wait(30)
    monkeypatch.setattr(ray_nodes, "FREE_SECONDS", 0.6)
    with pytest.raises(UsageError, match=r"^no node has had 2 free GPUs for 0.01 minutes: other work of this cl"):
        cluster_checks.check_placement(plan, nodes)
    for group in held:
        remove_placement_group(group)


def test_a_node_that_cannot_run_the_project_is_named(nodes, tmp_path, monkeypatch):
    from bench.execution import ray_nodes

    advice = r"; install the same locked environment there \(make venv CUDA=1\)$"
    absent = rf"^node \S+:\d+ cannot run the project: ModuleNotFoundError: No module named 'absent'{advice}"
    with pytest.raises(UsageError, match=absent):
        ray_nodes.on_every_node("absent:function")
    with pytest.raises(RuntimeError, match="raised on the node"):
        ray_nodes.on_every_node("jobs:fail")
    (tmp_path / "absent.py").write_text("def function(*arguments):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)  # this process has it and the nodes do not
    monkeypatch.setattr(ray_nodes, "_resolve", function("absent:function"))
    with pytest.raises(UsageError, match=absent):
        ray_nodes.on_every_node("jobs:answer")
    sys.modules.pop("absent")


SILENT = r"^node (\S+:\d+) has not answered for 0.1 minutes: its Ray hangs, its network, or a disk that it reads;"


def test_a_node_whose_worker_hangs_is_named(nodes, tmp_path, monkeypatch):
    from bench.execution import ray_nodes

    mark = tmp_path / "mark"
    ray_nodes.on_every_node("jobs:take", 0)  # starts the workers, which may take long
    with monkeypatch.context() as patch:
        patch.setattr(ray_nodes, "ANSWER_SECONDS", 6.0)
        with pytest.raises(UsageError, match=SILENT):
            ray_nodes.on_every_node("jobs:hang_on_one_node", str(mark))
    os.kill(int(mark.read_text()), signal.SIGKILL)


@pytest.mark.slow
def test_a_node_that_hangs_as_a_whole_is_named_and_one_that_takes_long_is_not(cluster, nodes, monkeypatch):
    from bench.execution import ray_nodes

    three = cluster.add_node(num_cpus=2)
    with ThreadPoolExecutor() as pool:  # two workers on each node, so that nobody waits for their start below
        asked = [pool.submit(ray_nodes.on_every_node, "jobs:take", 4) for _ in range(2)]
    assert [list(one.result().values()) for one in asked] == [["done"] * 3] * 2
    with monkeypatch.context() as patch:
        patch.setattr(ray_nodes, "ANSWER_SECONDS", 6.0)
        waited = []

        def lasts(node, seconds):
            waited.append((node, seconds))

        assert list(ray_nodes.on_every_node("jobs:take", 8, lasts=lasts).values()) == ["done"] * 3
        assert waited
        assert all(seconds >= 6 for _, seconds in waited)
        os.kill(_raylet(three), signal.SIGSTOP)
        with pytest.raises(UsageError, match=SILENT) as told:
            ray_nodes.on_every_node("jobs:take", 0, lasts=lasts)
        assert f":{three.node_manager_port} has not answered" in str(told.value)
    cluster.remove_node(three, allow_graceful=False)  # killed: Ray notices that, and the node is left out
    assert list(ray_nodes.on_every_node("jobs:take", 0).values()) == ["done"] * 2


def test_5_trials_share_18_gpus_and_a_lost_node_costs_its_attempts_alone(cluster, nodes, tmp_path):
    large = {_raylet(node): node for node in (cluster.add_node(num_cpus=3, num_gpus=7) for _ in range(2))}
    wanted = {f"t{i}": number for i, number in enumerate((1, 3, 4, 3, 3))}  # any two but the first fill a large node
    (tmp_path / "meet").mkdir()
    payloads = {name: {"meet": str(tmp_path / "meet")} if number > 2 else {} for name, number in wanted.items()}

    def lose(event):
        # Not with the first, which may be over before its node is.
        if len(large) == 2 and event.job != "t0" and event.data.get("node") in large:
            lose.job = event.job
            cluster.remove_node(large.pop(event.data["node"]), allow_graceful=False)

    events = _run(tmp_path, "holds_gpus", payloads, gpus=wanted, retries=1, on_event=lose)
    cluster.remove_node(large.popitem()[1], allow_graceful=False)  # or it takes the folders of the others with it
    assert [event.end for event in events if event.kind == "ended"] == [End("returned")] * 5
    again = {event.job: event.end.kind for event in events if event.kind == "retried"}
    assert again[lose.job] == "lost"
    assert set(again.values()) == {"lost"}
    reasons = [event.end.message for event in events if event.kind == "retried"]
    assert any(re.fullmatch(r"its node or its worker was lost: \S.{20,}", reason) for reason in reasons), reasons
    holds = {job: _messages(events, job)[-1] for job in wanted}
    assert {job: len(hold["gpus"].split(",")) for job, hold in holds.items()} == wanted
    assert max(_at_once(holds.values()).values()) == 1  # no GPU was given to two
    beside = [(a, b) for a in holds.values() for b in holds.values() if a is not b and a["node"] == b["node"]]
    assert any(a["since"] <= b["since"] < a["until"] for a, b in beside), "trials share a node"


def test_jobs_run_on_gpus_of_their_kind_alone(cluster, nodes, tmp_path):
    from bench.execution import ray_cluster, ray_tune

    special = cluster.add_node(num_cpus=1, num_gpus=1, resources={"accelerator_type:H100": 1})
    assert "H100" in {node.accelerator for node in ray_cluster.nodes()}
    ran = []
    jobs = [
        ray_tune.Job(name, "jobs:holds_gpus", {}, str(tmp_path / f"{name}.log"), 1, 1, accelerator="H100")
        for name in "abc"
    ]
    ray_tune.run(jobs, shared=tmp_path / "scratch", max_concurrent=None, listener=ran.append)
    places = {event.data["node"] for event in ran if "node" in event.data}
    assert places == {_raylet(special)}, "though two other nodes have two free GPUs each"
    assert [event.end for event in ran if event.kind == "ended"] == [End("returned")] * 3
    cluster.remove_node(special, allow_graceful=False)
    assert not any(ray_tune._holds(node, jobs[0]) for node in nodes)


def test_what_no_node_can_hold_any_more_is_given_up(cluster, nodes, tmp_path, monkeypatch):
    from bench.execution import ray_tune

    monkeypatch.setattr(ray_tune, "STRANDED_SECONDS", 4.0)
    large = cluster.add_node(num_cpus=2, num_gpus=5)
    there, lost = _raylet(large), []

    def lose(event):
        if event.job == "wide" and event.data.get("node") == there and not lost:  # what was under way still comes in
            lost.append(event)
            cluster.remove_node(large, allow_graceful=False)

    events = _run(
        tmp_path, "holds_gpus", {"wide": {}, "narrow": {}}, gpus={"wide": 5, "narrow": 1}, retries=1, on_event=lose
    )
    kinds = [event.kind for event in events if event.job == "wide" and event.kind != "message"]
    assert kinds == ["started", "retried", "waits", "ended"]
    gone = [event.data for event in events if event.kind == "left"]  # on a busy machine also a node of another test
    assert gone
    assert gone == [
        {"name": platform.node(), "address": gone[0]["address"], "cluster": cluster.address, "why": ""}
    ] * len(gone)
    message = "no remaining node has the 1 CPU and 5 GPUs of a trial"
    assert [event.end for event in events if event.job == "wide" and event.end][-1] == End("lost", message)
    assert [event.end for event in events if event.job == "narrow" and event.kind == "ended"] == [End("returned")]


def _raylet(node):
    (started,) = node.all_processes["raylet"]
    return started.process.pid


def _at_once(holds):
    """How many trials held each GPU of each node at a time."""
    most = {}
    for hold in holds:
        for gpu in hold["gpus"].split(","):
            there = [o for o in holds if o["node"] == hold["node"] and gpu in o["gpus"].split(",")]
            held = sum(o["since"] <= hold["since"] < o["until"] for o in there)
            most[hold["node"], gpu] = max(held, most.get((hold["node"], gpu), 0))
    return most


def test_a_gpu_held_twice_would_be_seen():
    spans = [(0, 10), (5, 8), (20, 30)]
    assert _at_once([{"node": "n", "gpus": "0", "since": a, "until": b} for a, b in spans]) == {("n", "0"): 2}


def test_workers_run_the_code_of_the_driver(nodes):
    from bench.execution import ray_nodes

    places = ray_nodes.on_every_node("jobs:where")
    assert len(places) >= 2
    assert all("/runtime_resources/" in place for place in places.values()), places
    commits = {there["git_commit"] for there in ray_nodes.on_every_node("bench.core.environment:describe").values()}
    assert commits == {describe()["git_commit"]}


def test_other_versions_on_a_node_are_refused_with_both(cluster, nodes, tmp_path, monkeypatch):
    from bench.execution import cluster_checks

    cluster_checks.check_nodes(tmp_path / "runs")
    assert not cluster_checks.probe(str(tmp_path / "nowhere"))["sees"]
    assert not cluster_checks.probe(str(tmp_path))["fault"]
    assert cluster_checks.probe("/proc/version")["fault"].startswith("it cannot write /proc: ")  # not even root can
    here = {**made_by(), "tensorflow": "2.99.0"}
    monkeypatch.setattr(cluster_checks, "made_by", lambda: here)
    there = describe()["tensorflow"]
    with pytest.raises(UsageError, match=rf"node .* has tensorflow {there}, this process tensorflow 2\.99\.0"):
        cluster_checks.check_nodes(tmp_path / "runs")
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(("off", "said"), [(3600.0, "behind"), (-3600.0, "ahead of")])
def test_a_node_with_another_clock_is_refused(cluster, nodes, tmp_path, monkeypatch, off, said):
    from bench.execution import cluster_checks

    right = time.time
    monkeypatch.setattr(cluster_checks.time, "time", lambda: right() + off)
    with pytest.raises(UsageError, match=rf"^node \S+: its clock is 3[56]\d\d s {said} that of this machine; set both"):
        cluster_checks.check_nodes(tmp_path / "runs")


def test_another_ray_is_refused_with_both_versions_and_a_client_is_told_where_to_run(cluster):
    import ray

    join = """
import sys, ray
ray.__version__ = "0.0.1"
from bench.execution import ray_cluster
ray_cluster.cluster(sys.argv[1]).__enter__()
"""
    command = [sys.executable, "-c", join, cluster.address]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert f"Ray: {ray.__version__}" in last
    assert "Ray: 0.0.1" in last
    from bench.execution import ray_cluster

    with pytest.raises(UsageError, match="start the command there, with --address auto"):
        ray_cluster.cluster("ray://head:10001").__enter__()


def test_a_data_root_is_looked_at_on_every_node(nodes, tmp_path):
    from bench import data
    from bench.execution import ray_nodes
    from bench.spec import DataSpec

    here = data.load(DataSpec()).version
    answers = ray_nodes.on_every_node("bench.data:version_here", DataSpec().model_dump())
    assert len(answers) == len(nodes) == 2
    assert list(answers.values()) == [(here, None)] * 2
    missing = DataSpec(dataset="folder", root=str(tmp_path / "nowhere")).model_dump()
    for version, fault in ray_nodes.on_every_node("bench.data:version_here", missing).values():
        assert not version
        assert "no such folder" in fault
