"""Runs that are sent to a cluster's job server, and the files for KubeRay and Slurm."""

import contextlib
import importlib.util
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from bench.core import UsageError
from bench.jobs import Nodes, job, kuberay, slurm
from bench.jobs.job_server import _packed
from bench.submit import _parsed

PROJECT = Path(__file__).resolve().parents[2]
RAYJOB = PROJECT / "docs" / "cluster" / "rayjob.yaml"
NODES = Nodes(2, 32, 4, 128)


def _job(text):
    words = shlex.split(text)
    return job(words, _parsed(words))


def _submit(*words, **variables):
    return subprocess.run(
        [sys.executable, "-m", "bench.submit", *words], capture_output=True, text=True, cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **variables},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--grid losse --storage /s", "did you mean 'losses'"),
        ("--grid losses --storage /s --sed 3", "--seeds"),
        ("--grid losses", "--storage is missing"),
        ("--grid losses --storage runs", "--storage runs: give an absolute path"),
        ("--grid losses --storage=runs", "--storage runs: give an absolute path"),
        ("--resume runs/one", "--resume runs/one: give an absolute path"),
        ("--grid losses --storage /s --data-root pictures", "--data-root pictures: give an absolute path"),
        ("--grid losses --storage /s --address auto", "--address"),
    ],
)
def test_what_has_no_meaning_elsewhere_is_refused_before_anything_is_sent(words, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        _job(words)


def test_bad_input_is_one_line_and_status_2():
    for words, said in (
        (["--grid", "smoke", "--storage", "/s"], "--head is missing"),
        (["--stop", "one", "--grid", "smoke"], "--stop takes no options of bench.run"),
    ):
        done = _submit(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_grid_file_and_code_of_the_users_own_go_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grids").mkdir()
    Path("grids/mine.yaml").write_text("axes: {loss: [dice, 'mine.parts:Loss']}\n")
    Path("mine").mkdir()
    Path("mine/parts.py").write_text("class Loss: ...\n")
    for option in ("--grid grids/mine.yaml", "--grid=grids/mine.yaml"):
        made = _job(f"--seeds 2 {option} --storage /s --retries 1")
        assert shlex.split(made.entrypoint()) == [
            *("python", "-m", "bench.run", "--seeds", "2", *option.replace("grids/", "sent/").split()),
            *("--storage", "/s", "--retries", "1", "--address", "auto"),
        ]
        with _packed(made) as folder:
            assert (folder / "sent/mine.yaml").read_text() == Path("grids/mine.yaml").read_text()
            assert (folder / "mine/parts.py").read_text() == Path("mine/parts.py").read_text()
            assert (folder / "bench/run.py").exists()
            assert not (folder / "results/releases").exists()
        assert not folder.exists()
    with pytest.raises(UsageError, match="on this machine only"):
        slurm(made, NODES, 1)


def test_a_release_that_the_command_reads_goes_along():
    made = _job("--grid losses --storage /s --until release --against 0.1.0")
    with _packed(made) as folder:
        assert (folder / "results/releases").is_dir()


def test_a_job_says_in_a_line_what_it_runs():
    assert _job("--grid losses --seeds 3 --storage /s").summary == "grid losses, 21 trials, in /s"
    assert _job("--grid losses --storage /s --until best").summary == "grid losses, 7 cells until decided, in /s"


def test_a_run_is_resumed_by_its_path_alone():
    made = _job("--resume /shared/runs/one --retries 1")
    assert (made.name, made.what) == ("one", None)
    assert made.summary == "the trials that are left, in /shared/runs/one"
    assert made.entrypoint("h:1") == "python -m bench.run --resume /shared/runs/one --retries 1 --address h:1"


def test_the_example_for_kuberay_is_what_the_command_prints():
    """tests/cluster/test_files.py holds what such a file has to say."""
    words = "--print kuberay --nodes 2 --grid losses --storage /shared/runs --name losses --retries 2"
    assert _submit(*words.split()).stdout == RAYJOB.read_text(), f"python -m bench.submit {words} > {RAYJOB}"


def test_kuberay_gets_the_nodes_that_were_asked_for_and_names_that_kubernetes_allows():
    run = _job("--grid smoke --storage /data/deep/runs --name A_run.of_Dice --gpus-per-trial 0")
    claim, made = yaml.safe_load_all(kuberay(run, Nodes(3, 8, 0, 16), "IMAGE"))
    (group,) = made["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert made["metadata"]["name"] == "a-run-of-dice"
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (3, 3, 3)
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "16Gi"}
    assert {"name": "shared", "mountPath": "/data"} in container["volumeMounts"]
    assert claim["metadata"]["name"] == group["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]


def test_a_run_in_an_object_store_needs_no_volume():
    (made,) = yaml.safe_load_all(kuberay(_job("--grid smoke --storage s3://bucket/runs"), NODES, "IMAGE"))
    cluster = made["spec"]["rayClusterSpec"]
    head, worker = (group["template"]["spec"] for group in (cluster["headGroupSpec"], cluster["workerGroupSpecs"][0]))
    assert (head["volumes"], head["containers"][0]["volumeMounts"]) == ([], [])
    assert [volume["name"] for volume in worker["volumes"]] == ["memory"]


def test_a_trial_that_no_node_can_hold_is_refused():
    for write in (lambda run, nodes: kuberay(run, nodes, "IMAGE"), lambda run, nodes: slurm(run, nodes, 1)):
        with pytest.raises(UsageError, match="a trial needs 4 GPUs, but no node has more than 2"):
            write(_job("--grid smoke --storage /s/r --gpus-per-trial 4"), Nodes(2, 8, 2, 16))


@pytest.mark.parametrize("nodes", [Nodes(1, 4, 0, 8), NODES])
def test_a_batch_script_asks_for_its_nodes_and_is_a_script(nodes, tmp_path):
    text = slurm(_job("--grid smoke --storage '/with space/runs' --name one"), nodes, 1.5)
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", text, re.MULTILINE))
    assert (asked["nodes"], asked["cpus-per-task"]) == (str(nodes.count), str(nodes.cpus))
    assert asked.get("gpus-per-node") == (str(nodes.gpus) if nodes.gpus else None)
    assert (asked["time"], asked["mem"]) == ("01:30:00", f"{nodes.memory_gib}G")
    assert "--storage '/with space/runs' --name one --address \"$address\" &" in text
    script = tmp_path / "job.sh"
    script.write_text(text)
    assert subprocess.run(["bash", "-n", script], capture_output=True, check=True).stderr == b""
    if checker := shutil.which("shellcheck"):
        assert subprocess.run([checker, script], capture_output=True, text=True).stdout == ""


@pytest.mark.slow
def test_the_batch_script_runs_its_grid_and_ends_at_a_signal_with_records(tmp_path):
    """With stand-ins for Slurm's two commands, on the one node there is; the rest of the script is what runs there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "scontrol").write_text("#!/bin/sh\nhostname\n")
    (tools / "srun").write_text('#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    environment = Path(sys.executable).parent
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").write_text(f"PATH={tools}:{environment}:$PATH\n")
    words = f"--grid smoke --only loss=dice --storage {tmp_path}/runs --gpus-per-trial 0 --name"
    for number, (name, end) in enumerate({"whole": "", "cut": "--set train.epochs=500"}.items()):
        (tmp_path / "job.sh").write_text(slurm(_job(f"{words} {name} {end}"), Nodes(1, 2, 0, 4), 1))
        variables = {
            "SLURM_JOB_NODELIST": "here",
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_JOB_ID": str(os.getpid() + number),
        }
        with subprocess.Popen(
            ["bash", "job.sh"], cwd=tmp_path, start_new_session=True, text=True,
            stdout=(tmp_path / f"{name}.log").open("w"), stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **variables},
        ) as batch:  # fmt: skip
            try:
                if end:
                    _wait_for(lambda: list((tmp_path / "runs/cut/trials").glob("*/resume.npz")), 300)
                    batch.send_signal(signal.SIGTERM)
                status = batch.wait(400)
            finally:
                os.killpg(batch.pid, signal.SIGTERM)  # Slurm ends the steps of a script that has ended
        assert len(list((tmp_path / "runs" / name / "trials").glob("*/record.json"))) == 1
        assert status == (130 if end else 0)
        assert ("Go on with: " in (tmp_path / f"{name}.log").read_text()) is bool(end)


def _wait_for(what, seconds):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.5)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A cluster of one node with a token, a job server and an exporter; (URL, URL of metrics, variables)."""
    if importlib.util.find_spec("aiohttp") is None or importlib.util.find_spec("opencensus") is None:
        pytest.skip("the optional extra `cluster` is not installed")
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    place = f"/tmp/ray-jobs-{os.getpid()}"  # short: it holds sockets
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--node-ip-address=127.0.0.1",
        f"--port={ports[0]}", f"--dashboard-port={ports[1]}", "--dashboard-host=127.0.0.1", f"--temp-dir={place}",
        f"--metrics-export-port={ports[2]}", "--num-cpus=2", "--object-store-memory=100000000", "--block",
    ]  # fmt: skip
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    log = (tmp_path_factory.mktemp("head") / "log").open("w")
    server = subprocess.Popen(command, env={**clean, **variables, "PATH": path}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{ports[1]}"
    try:
        _wait_for(lambda: "does not exist" in _submit("--head", url, "--logs", "none", **variables).stderr, 300)
        yield url, f"http://127.0.0.1:{ports[2]}/metrics", variables
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(place, ignore_errors=True)


def _exported(url, run):
    """The values of a run's gauges, as Prometheus reads them."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        lines = re.findall(rf'^ray_segbench_(\w+){{(.*run="{run}".*)}} (\S+)$', answer.read().decode(), re.MULTILINE)
    states = [re.search(r'state="(\w+)"', tags) for _, tags, _ in lines]
    return {f"{n} {s[1]}" if s else n: float(value) for (n, _, value), s in zip(lines, states, strict=True)}


@pytest.mark.slow
def test_a_run_is_sent_followed_and_stopped_on_a_real_job_server(head, tmp_path):
    url, metrics, variables = head
    nobody = _submit("--head", "http://127.0.0.1:1", "--logs", "none", **variables)
    wrong = _submit("--head", url, "--logs", "none", **{**variables, "RAY_AUTH_TOKEN": "0" * 64})
    unknown = _submit("--head", url, "--logs", "none", **variables)
    assert [done.returncode for done in (nobody, wrong, unknown)] == [2, 2, 2]
    assert [done.stderr.count("\n") for done in (nobody, wrong, unknown)] == [1, 1, 1]
    assert "no job server answers" in nobody.stderr
    assert "auth_token" in wrong.stderr
    assert "does not exist" in unknown.stderr

    grid = tmp_path / "mine.yaml"
    grid.write_text("preset: smoke\nseeds: 1\naxes: {loss: [dice]}\n")
    words = ["--head", url, "--grid", str(grid), "--gpus-per-trial", "0", "--storage", f"{tmp_path}/runs"]
    done = _submit(*words, "--name", "whole", **variables)
    assert done.returncode == 0, done.stderr
    assert "1 trial to do" in done.stdout
    assert "Report: " in done.stdout
    assert len(list((tmp_path / "runs/whole/trials").glob("*/record.json"))) == 1

    begun = _submit(*words, "--name", "cut", "--set", "train.epochs=500", "--detach", **variables)
    name = re.search(r"^Job (\S+): ", begun.stdout)[1]
    own = {"Authorization": f"Bearer {variables['RAY_AUTH_TOKEN']}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/jobs/{name}", headers=own), timeout=60) as told:
        shown = json.load(told)["metadata"]  # by the dashboard
    assert shown == {"job_name": "cut", "summary": f"grid mine, 1 trial, in {tmp_path}/runs"}
    _wait_for(lambda: list((tmp_path / "runs/cut/trials").glob("*/resume.npz")), 300)
    _wait_for(lambda: "best_validation_miou" in _exported(metrics, "cut"), 60)
    found = _exported(metrics, "cut")
    assert [found[f"trials {state}"] for state in ("waiting", "running", "done", "failed")] == [0, 1, 0, 0]
    assert 0.0 < found["best_validation_miou"] < 1.0
    assert found["images_per_second"] > 0.0
    stopped = _submit("--head", url, "--stop", name, **variables)
    assert (stopped.returncode, stopped.stdout) == (0, f"Job {name}: stopped.\n")
    assert len(list((tmp_path / "runs/cut/trials").glob("*/record.json"))) == 1
    followed = _submit("--head", url, "--logs", name, **variables)
    assert followed.returncode == 130
    assert "Go on with: python -m bench.run --resume" in followed.stdout
