"""Ray for real: several nodes with pretended GPUs on one machine, real worker processes, real deaths."""

import signal
from pathlib import Path

import pytest

from bench.plan import misfit
from bench.supervisor import End, Limits

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(HERE))  # where the workers find the functions of jobs.py
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # hidden GPUs cannot be pretended
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 2, "include_dashboard": False})
    made.add_node(num_cpus=2, num_gpus=2)
    yield made
    made.shutdown()
    patch.undo()


@pytest.fixture(scope="module")
def nodes(cluster):
    from bench import schedule

    with schedule.cluster(cluster.address) as found:
        yield found


def _run(tmp_path, entry, payloads, gpus=0, limits=None, retries=0, on_event=lambda event: None):
    from bench import schedule

    events: list[schedule.Event] = []
    jobs = [
        schedule.Job(name, f"jobs:{entry}", payload, str(tmp_path / f"{name}.log"), 1, gpus, limits or Limits())
        for name, payload in payloads.items()
    ]

    def hear(event):
        events.append(event)
        on_event(event)

    schedule.run(jobs, shared=tmp_path / "scratch", max_concurrent=None, listener=hear, retries=retries)
    return events


def _told(events, job):
    return [event.data for event in events if event.job == job and event.kind == "told"]


def test_nodes_are_described(nodes):
    assert [(node.cpus, node.gpus) for node in nodes] == [(2, 2), (2, 2)]


def test_a_trial_sees_all_its_gpus_in_a_process_of_its_own(nodes, tmp_path):
    events = _run(tmp_path, "visible", {"a": {}, "b": {}}, gpus=2)
    steps = {job: next(d for d in _told(events, job) if d["event"] == "step") for job in "ab"}
    assert {step["gpus"] for step in steps.values()} == {"0,1"}
    assert steps["a"]["pid"] != steps["b"]["pid"]
    assert next(event.kind for event in events if event.job == "a") == "started"
    assert [event.kind for event in events if event.job == "a"][-1] == "ended"
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
    assert [event.kind for event in events if event.kind != "told"] == ["started", "retried", "started", "ended"]
    assert next(event.end.kind for event in events if event.kind == "retried") == "stalled"
    assert [data["attempt"] for data in _told(events, "a") if data["event"] == "step"] == [1, 2]
    assert events[-1].end == End("returned")


def test_a_lost_node_loses_its_attempt_and_another_node_takes_over(cluster, nodes, tmp_path):
    first = cluster.add_node(num_cpus=1, num_gpus=4)  # the only node that can hold it

    def lose(event):
        if event.kind == "told" and event.data.get("attempt") == 1:
            cluster.remove_node(first, allow_graceful=False)
            lose.second = cluster.add_node(num_cpus=1, num_gpus=4)

    payloads = {"a": {"mark": str(tmp_path / "mark")}}
    events = _run(tmp_path, "wait_at_first", payloads, gpus=4, retries=1, on_event=lose)
    cluster.remove_node(lose.second, allow_graceful=False)
    assert next(event.end.kind for event in events if event.kind == "retried") == "lost"
    assert [data["attempt"] for data in _told(events, "a") if data["event"] == "step"] == [1, 2]
    assert events[-1].end == End("returned")


def test_what_no_node_can_hold_is_named(nodes):
    assert misfit([(1, 2)], nodes) is None
    assert misfit([(1, 1), (1, 3)], nodes).startswith("3 GPU(s) a trial asked, but no node has more than 2")
    assert misfit([(64, 1)], nodes) == "64 CPU(s) and 1 GPU(s) a trial asked, but no node has both"


def test_a_function_is_called_on_a_node_with_gpus(nodes):
    from bench import schedule

    assert len(schedule.call("jobs:answer", 2).split(",")) == 2


def test_a_data_root_is_looked_at_on_every_node(nodes, tmp_path):
    from bench import data, schedule
    from bench.spec import DataSpec

    here = data.load(DataSpec()).version
    answers = schedule.on_every_node("bench.data:version_here", DataSpec().model_dump())
    assert len(answers) == len(nodes) == 2
    assert list(answers.values()) == [(here, None)] * 2
    missing = DataSpec(dataset="folder", root=str(tmp_path / "nowhere")).model_dump()
    for version, fault in schedule.on_every_node("bench.data:version_here", missing).values():
        assert not version
        assert "no such folder" in fault
