"""The files of docs/cluster, as far as they can be checked without a cloud: schemas, versions, paths and commands."""

import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest
import typer
import yaml
from typer.main import get_command

import bench
from bench.run import main

PROJECT = Path(__file__).resolve().parents[2]
HERE = PROJECT / "docs" / "cluster"
TEXTS = [PROJECT / "docs" / "cluster.md", PROJECT / "docs" / "reliability.md", *sorted(HERE.iterdir())]


def _job():
    claim, job = yaml.safe_load_all((HERE / "rayjob.yaml").read_text())
    return claim, job["spec"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_commands_are_what_the_command_takes(path):
    app = typer.Typer()
    app.command()(main)
    command = get_command(app)
    for line in re.findall(r"python -m bench\.run ([^'\n`#]*)", path.read_text()):
        command.make_context("bench.run", shlex.split(line))


def test_the_launchers_file_has_rays_schema():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((HERE / "machines.yaml").read_text())
    nodes = 1 + len(config["provider"]["worker_ips"])
    assert config["min_workers"] == config["max_workers"] == nodes - 1
    config["auth"]["ssh_private_key"] = "~/.ssh/id_rsa"
    config["file_mounts"] = {}  # looked for on this machine
    validate_config(prepare_config(config))


def test_the_job_has_the_projects_versions_and_writes_where_all_its_pods_do():
    claim, job = _job()
    cluster = job["rayClusterSpec"]
    assert cluster["rayVersion"] == metadata.version("ray")
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    storage = shlex.split(job["entrypoint"])[shlex.split(job["entrypoint"]).index("--storage") + 1]
    for pod in pods:
        (container,) = pod["containers"]
        mount = next(mount for mount in container["volumeMounts"] if storage.startswith(f"{mount['mountPath']}/"))
        volume = next(volume for volume in pod["volumes"] if volume["name"] == mount["name"])
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    assert int(pods[1]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]) > 0


def test_the_image_is_made_by_targets_and_an_interpreter_of_the_makefile():
    text, makefile = (HERE / "Dockerfile").read_text(), (PROJECT / "Makefile").read_text()
    assert re.search(r"^FROM python:3\.12-", text, re.MULTILINE)
    assert "3.12" in re.search(r"^SUPPORTED := (.*)$", makefile, re.MULTILINE)[1].split()
    (target,) = re.findall(r"^RUN make (\w+)", text, re.MULTILINE)
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    images = re.findall(r"REGISTRY/\S+:(\S+)", text + (HERE / "rayjob.yaml").read_text())
    assert set(images) == {bench.__version__}


def test_every_test_that_the_table_of_faults_names_is_there():
    table = (PROJECT / "docs" / "reliability.md").read_text()
    for name in set(re.findall(r"`(tests/[\w/.]+|test_\w+\.py)`", table)):
        places = [PROJECT / name, *(PROJECT / "tests" / room / name for room in ("faults", "cluster", "storage"))]
        assert any(place.exists() for place in places), name
