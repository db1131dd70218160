"""A cluster whose autoscaler starts nodes for what waits, by Ray's own provider of pretended nodes. Slow."""

import json
import sys

import pytest

from bench.core import read_progress
from tests.cluster import hosts
from tests.cluster.grid_run import Run, figures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sys.platform != "linux" or hosts.why_not()), reason=f"no hosts: {hosts.why_not()}"),
]
HEAD = "ray.head.default"
"""The name that Ray's provider of pretended nodes takes the head's type for."""
JOBS = """
import json, sys
from pathlib import Path

from bench.execution import ray_cluster, ray_tune

entry, payload, names, hosts = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])
jobs = [ray_tune.Job(name, f"jobs:{entry}", payload, f"{name}.log", 1, 1, hosts=hosts) for name in names]
with ray_cluster.cluster("auto") as nodes:
    print("began", json.dumps([(node.cpus, node.gpus) for node in nodes]))
    ray_tune.run(jobs, shared=Path("tune"), max_concurrent=None, listener=lambda event: print("event", json.dumps(
        [event.kind, event.job, event.data, event.end and event.end.kind, event.end and event.end.message]
    )))
"""


def _config(head, worker, most, idle_minutes=10.0):
    """A cluster of a head and up to so many workers, as the file of `ray start --autoscaling-config`."""
    nothing = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "growing", "max_workers": most, "upscaling_speed": 1.0, "idle_timeout_minutes": idle_minutes,
        "provider": {
            "type": "external", "module": "growing_nodes.Nodes", "gcs_address": f"{hosts.NETWORK}.1:6379",
            "use_node_id_as_ip": True, "disable_node_updaters": True,
        },
        "available_node_types": {
            HEAD: {"resources": head, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": {"object_store_memory": 10**8, **worker}, "node_config": {}, "min_workers": 0,
                "max_workers": most,
            },
        },
        "head_node_type": HEAD, "auth": {"ssh_user": "nobody"}, "file_mounts": {},
        "cluster_synced_files": [], "file_mounts_sync_continuously": False,
        **{f"{name}_commands": [] for name in nothing},
    }  # fmt: skip


@pytest.fixture
def bed(tmp_path):
    """One host, whose processes are those of all nodes, and which ends them all with it."""
    with hosts.Bed(tmp_path, "one") as made:
        made.environment |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
        made.environment["PYTHONPATH"] += f":{hosts.PROJECT / 'tests' / 'cluster'}"
        yield made


def _start(bed, config):
    (bed.shared / "cluster.json").write_text(json.dumps(config))
    gpus = config["available_node_types"][HEAD]["resources"].get("GPU", 0)
    bed.start_ray(f"--autoscaling-config={hosts.SHARED / 'cluster.json'}", f"--num-gpus={gpus}")


def test_a_grid_that_waits_makes_the_cluster_grow_and_its_trials_run_there(bed):
    _start(bed, _config({"CPU": 1}, {"CPU": 1}, most=2))
    run = Run(bed, epochs=40, losses="dice,focal,cross_entropy,tversky")
    most = 0

    def ended():
        nonlocal most
        found = read_progress(run.folder)
        if found:
            most = max(most, len(found.running))
        return run.process.poll() is not None

    run.wait_for(ended)
    status, output = run.end()
    assert status == 0, output
    assert output.count("has joined the cluster") == 2, output
    assert most == 3, "as many trials at a time as there are nodes now; one when the run began"
    figures("a grid that grows", trials_at_a_time=most, said=[line for line in output.splitlines() if "node" in line])


def _run(bed, entry, payload, names, together=1):
    """The nodes before the first job, and the events of jobs with a GPU of each of their nodes."""
    output = bed.head.call(sys.executable, "-c", JOBS, entry, json.dumps(payload), names, together)
    lines = [line.split(" ", 1) for line in output.splitlines() if line.startswith(("began ", "event "))]
    (_, began), *events = [(word, json.loads(told)) for word, told in lines]
    return began, [event for _, event in events]


def _ends(events):
    return [end for kind, _, _, end, _ in events if kind == "ended"]


def test_jobs_that_wait_for_gpus_make_the_cluster_grow_and_idle_nodes_go_without_a_fault(bed):
    _start(bed, _config({"CPU": 1, "GPU": 1}, {"CPU": 1, "GPU": 1}, most=2, idle_minutes=0.2))
    began, events = _run(bed, "all_at_once", {"folder": str(hosts.SHARED), "jobs": 3, "stays": 60}, "abc")
    assert began == [[1, 1]]
    assert _ends(events) == ["returned"] * 3, events
    assert len({data["node"] for _, _, data, *_ in events if "node" in data}) == 3
    assert [kind for kind, *_ in events].count("joined") >= 2
    left = [data["why"] for kind, _, data, *_ in events if kind == "left"]
    assert left, events
    assert {*left} <= {"Terminated by autoscaler", "received SIGTERM"}


def test_a_job_over_two_hosts_waits_for_a_second(bed):
    _start(bed, _config({"CPU": 1, "GPU": 1}, {"CPU": 1, "GPU": 1}, most=1))
    began, events = _run(bed, "holds_gpus", {}, "a", together=2)
    assert began == [[1, 1]]
    assert _ends(events) == ["returned"], events
    assert [kind for kind, *_ in events].count("joined") == 1
