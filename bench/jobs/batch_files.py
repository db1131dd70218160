"""Files that run a grid on a cluster of its own: a RayJob for KubeRay, a batch script for Slurm."""

from __future__ import annotations

import importlib.metadata
import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from bench.core import UsageError
from bench.jobs.command_line import Job
from bench.plan import Local, make, resolved, why_unplaceable
from bench.storage import is_address
from results import counted

CLAIM = "segmentation-bench"
WARNING_SECONDS = 300
"""Seconds before the end of its time that a Slurm job is asked to write its records."""


@dataclass(frozen=True)
class Nodes:
    """The machines of a cluster, all alike.

    Attributes:
        count: of them.
        cpus: of each.
        gpus: of each; 0 for none.
        memory_gib: of each.
    """

    count: int
    cpus: int
    gpus: int
    memory_gib: int


def kuberay(job: Job, nodes: Nodes, image: str) -> str:
    """Return a RayJob (KubeRay 1.6 or newer) and the claim of its storage, as YAML.

    Args:
        job: what to run.
        nodes: the workers. The head is a pod of its own without trials.
        image: of all pods, with the project's environment.

    Raises:
        UsageError: no node can hold a trial, or the storage is no folder of a mounted volume.
    """
    place = _volume(job)
    shared = {"name": "shared", "mountPath": place}
    # NCCL passes tensors between the GPUs of a trial through it; a container has 64 MiB otherwise.
    memory = {"name": "memory", "mountPath": "/dev/shm"}
    volumes = {
        "shared": {"persistentVolumeClaim": {"claimName": CLAIM}},
        "memory": {"emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
    }
    small = {"cpu": "2", "memory": "8Gi"}
    sizes = {"cpu": str(nodes.cpus), "memory": f"{nodes.memory_gib}Gi"}
    large = sizes | ({"nvidia.com/gpu": str(nodes.gpus)} if nodes.gpus else {})
    mounts = [shared] if place else []
    cluster = {
        "rayVersion": importlib.metadata.version("ray"),
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0"},  # it runs the command, no trials
            "template": _pod("head", small, image, mounts, volumes),
        },
        "workerGroupSpecs": [
            {
                "groupName": "gpu" if nodes.gpus else "cpu",
                "replicas": nodes.count, "minReplicas": nodes.count, "maxReplicas": nodes.count,
                "rayStartParams": {},
                "template": _pod("worker", large, image, [*mounts, memory], volumes),
            }
        ],
    }  # fmt: skip
    name = re.sub(r"[^a-z0-9-]+", "-", job.name.lower()).strip("-")[:47]  # Kubernetes adds to it, and allows 63
    run = {
        "apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name},
        "spec": {
            "entrypoint": job.entrypoint(), "backoffLimit": 0, "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600, "rayClusterSpec": cluster,
        },
    }  # fmt: skip
    change = (
        "the storage class and the size of the claim" if place else "how the pods get the credentials of the bucket"
    )
    return (
        f"# {_what(job, nodes)}: KubeRay 1.6 or newer makes the cluster, runs the command, takes the cluster down.\n"
        f"#   kubectl apply -f THIS_FILE\n# To be changed: {change}.\n"
        + yaml.safe_dump_all([_CLAIM, run] if place else [run], sort_keys=False, width=2**16)
    )


_CLAIM = {
    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM},
    "spec": {
        "accessModes": ["ReadWriteMany"], "storageClassName": "nfs", "resources": {"requests": {"storage": "100Gi"}},
    },
}  # fmt: skip


def _pod(
    name: str, sizes: dict[str, str], image: str, mounts: list[dict[str, Any]], volumes: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    # Copies, because YAML would write a second mention of one object as an alias.
    container = {
        "name": f"ray-{name}", "image": image, "resources": {"requests": {**sizes}, "limits": {**sizes}},
        "volumeMounts": [{**mount} for mount in mounts],
    }  # fmt: skip
    needed = [{"name": mount["name"], **deepcopy(volumes[mount["name"]])} for mount in mounts]
    return {"spec": {"containers": [container], "volumes": needed}}


def _volume(job: Job) -> str | None:
    """Return the first folder of the path under which the run is stored; there the volume is mounted.

    None for a run in an object store.
    """
    options = {"--storage", "--out", "--resume"}
    values = [word for before, word in zip(job.words, job.words[1:], strict=False) if before in options]
    values += [word.partition("=")[2] for word in job.words if word.partition("=")[0] in options and "=" in word]
    if values and is_address(values[0]):
        return None
    place = PurePosixPath(values[0]) if values else PurePosixPath("/")
    if len(place.parts) < 2:
        raise UsageError(f"--storage {place}: expected a folder below the mount of a volume, such as /shared/runs")
    return str(PurePosixPath(*place.parts[:2]))


def slurm(job: Job, nodes: Nodes, hours: float) -> str:
    """Return a script for `sbatch`: Ray on each node of the job, with a token of its own, and the command on the first.

    Args:
        job: what to run.
        nodes: what to ask Slurm for.
        hours: after which Slurm ends the job.

    Raises:
        UsageError: no node can hold a trial.
    """
    minutes = round(60 * hours)
    gpus = f"#SBATCH --gpus-per-node={nodes.gpus}\n" if nodes.gpus else ""
    return _SLURM.format(
        what=_what(job, nodes), name=job.name, count=nodes.count, cpus=nodes.cpus, memory=nodes.memory_gib, gpus=gpus,
        time=f"{minutes // 60:02}:{minutes % 60:02}:00", warning=WARNING_SECONDS,
        start=f"--num-cpus={nodes.cpus} --num-gpus={nodes.gpus}",
        command=job.entrypoint("ADDRESS").replace("ADDRESS", '"$address"'),
    )  # fmt: skip


def _what(job: Job, nodes: Nodes) -> str:
    """Return in words what runs where.

    Raises:
        UsageError: no node can hold a trial, or the command names files of this machine.
    """
    here = [*job.files, *job.own]
    if here:
        raise UsageError(
            f"--print: {here[0]} is on this machine only; name a shipped grid and registered code, or send it"
        )
    where = counted(nodes.count, "node")
    if job.what is None:
        return f"{job.name} goes on, on {where}"
    wanted = (cell.spec.placement.accelerator for cell in resolved(job.what).cells)
    machines = [Local(nodes.cpus, nodes.gpus, next(filter(None, wanted), None))] * nodes.count
    plan = make(job.what, machines, None)
    if fault := why_unplaceable(plan.needs, machines):
        raise UsageError(fault)
    trials = counted(len(plan.trials), "trial")
    each = f"{counted(plan.gpus, 'GPU')} each" if plan.gpus else f"{counted(plan.cpus, 'CPU')} each"
    return f"{plan.grid.name}, {trials} with {each}, on {where}"


_SLURM = r"""#!/bin/bash
# {what}: sbatch THIS_FILE, in the folder that holds .venv
#SBATCH --job-name={name}
#SBATCH --nodes={count}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
{gpus}#SBATCH --mem={memory}G
#SBATCH --time={time}
#SBATCH --signal=B:TERM@{warning}
#SBATCH --output={name}-%j.log
set -euo pipefail
# shellcheck source=/dev/null
source .venv/bin/activate
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# This script runs on the first node. Its name may stand for 127.0.1.1 there, so Ray is asked for the address.
ip=$(python -c 'import ray.util; print(ray.util.get_node_ip_address())')
address=$ip:$((20000 + SLURM_JOB_ID % 20000)) # another job may share a node

# Each node's Ray lives as long as its step.
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
    ray start --head --node-ip-address="$ip" --port="${{address##*:}}" --temp-dir="/tmp/ray-$SLURM_JOB_ID" \
    --include-dashboard=false --block {start} &
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    for ((second = 0; second < 120; second += 2)); do
        if ray status --address "$address" >/dev/null 2>&1; then break; fi
        sleep 2
    done
    others=$((SLURM_JOB_NUM_NODES - 1))
    srun --nodes="$others" --ntasks="$others" --exclude="$head" --overlap \
        ray start --address "$address" --block {start} &
fi
# The run plans for the nodes that it finds, so it starts when all are there.
python - "$address" "$SLURM_JOB_NUM_NODES" <<'PYTHON'
import sys, time
import ray
for second in range(300):
    try:
        ray.init(address=sys.argv[1], log_to_driver=False, ignore_reinit_error=True)
        if sum(node["Alive"] for node in ray.nodes()) >= int(sys.argv[2]):
            sys.exit()
    except ConnectionError:
        pass
    time.sleep(1)
sys.exit("error: Ray has not started on all nodes within five minutes; their output is above")
PYTHON

{command} &
run=$!
# Near the end of its time the run writes the records of what it has, and says how to go on.
trap 'kill -TERM "$run"' TERM INT
status=0
while kill -0 "$run" 2>/dev/null; do
    wait "$run" && status=0 || status=$?
done
exit "$status"
"""
