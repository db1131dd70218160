"""Ray for real: several nodes with pretended GPUs on one machine, real worker processes, one of them killed."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def nodes():
    from ray.cluster_utils import Cluster

    from bench import schedule

    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(HERE))  # where the workers find the functions of jobs.py
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 2, "include_dashboard": False})
    made.add_node(num_cpus=2, num_gpus=2)
    with schedule.cluster(made.address) as found:
        yield found
    made.shutdown()
    patch.undo()


def _run(tmp_path, entry, payloads, gpus=0, concurrent=None):
    from bench import schedule

    events: list[schedule.Event] = []
    jobs = [
        schedule.Job(name, f"jobs:{entry}", payload, str(tmp_path / f"{name}.log"), 1, gpus)
        for name, payload in payloads.items()
    ]
    schedule.run(jobs, scratch=tmp_path / "scratch", max_concurrent=concurrent, listener=events.append)
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


def test_killed_and_raising_workers_take_nobody_with_them(nodes, tmp_path):
    events = _run(tmp_path, "die", {"killed": {"die": True}, "raising": {"raise": True}, "fine": {}})
    last = {job: [event for event in events if event.job == job][-1] for job in ("killed", "raising", "fine")}
    assert {job: event.kind for job, event in last.items()} == {
        "killed": "failed",
        "raising": "failed",
        "fine": "ended",
    }
    assert "raised in the worker" in last["raising"].data["error"]


def test_what_no_node_can_hold_is_named(nodes):
    from bench.schedule import misfit

    assert misfit(1, 2, nodes) is None
    assert misfit(1, 3, nodes) == "3 GPU(s) a trial asked, but no node has more than 2"
    assert misfit(64, 1, nodes) == "64 CPU(s) and 1 GPU(s) a trial asked, but no node has both"


def test_a_function_is_called_on_a_node_with_gpus(nodes):
    from bench import schedule

    assert len(schedule.call("jobs:answer", 2).split(",")) == 2
