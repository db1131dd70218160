"""Functions that scheduled workers of the tests call."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import psutil

from bench.core import HostFailed, HostLost


def nothing(payload, emit):
    pass


def visible(payload, emit):
    gpus, priority = os.environ.get("CUDA_VISIBLE_DEVICES", ""), os.getpriority(os.PRIO_PROCESS, 0)
    emit({"event": "step", "epoch": 1, "gpus": gpus, "pid": os.getpid(), "priority": priority})
    print("printed by the worker")


def die(payload, emit):
    if payload.get("die"):
        os.kill(os.getpid(), payload["die"])
    if payload.get("raise"):
        raise RuntimeError("raised in the worker")
    if payload.get("lose"):
        os.kill(os.getppid(), signal.SIGKILL)  # Ray's worker, whose end this process does not outlive
        time.sleep(600)


def wait_at_first(payload, emit):
    """Hang in the first attempt, return in the next."""
    mark = Path(payload["mark"])
    emit({"event": "step", "epoch": 1, "attempt": 2 if mark.exists() else 1})
    if not mark.exists():
        mark.touch()
        time.sleep(600)


def told_to_end_at_first(payload, emit):
    """As on a machine that is taken away: Ray's worker is told, too. In the third attempt return."""
    mark = Path(payload["mark"])
    done = len(mark.read_text()) if mark.exists() else 0
    emit({"event": "step", "epoch": 1, "attempt": done + 1})
    mark.write_text("x" * (done + 1))
    if done < 2:
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)


def loses_its_storage_at_first(payload, emit):
    """Move the folder of the log away and crash, as by the first write; in the next attempt return."""
    place, mark = Path(payload["place"]), Path(payload["mark"])
    emit({"event": "step", "epoch": 1, "attempt": 2 if mark.exists() else 1})
    if not mark.exists():
        mark.touch()
        place.rename(place.with_name("away"))
        os._exit(1)


def holds_gpus(payload, emit):
    """Hold the GPUs for a second, and until another trial on this node does if there is a folder to meet in."""
    node = psutil.Process().parents()[1].pid  # the raylet, which starts the worker that starts this process
    since = time.time()
    emit({"event": "step", "node": node})
    if meet := payload.get("meet"):
        Path(meet, f"{node}-{os.getpid()}").touch()
        while len([*Path(meet).glob(f"{node}-*")]) < 2 and time.time() < since + 60:
            time.sleep(0.1)
    time.sleep(1)
    gpus = os.environ["CUDA_VISIBLE_DEVICES"]
    emit({"event": "step", "gpus": gpus, "node": node, "since": since, "until": time.time()})


def all_at_once(payload, emit):
    """Return when so many jobs run at a time as the payload says; the first of them stays for a while."""
    folder, node = Path(payload["folder"]), psutil.Process().parents()[1].pid
    first = not [*folder.glob("runs-*")]
    (folder / f"runs-{os.getpid()}").touch()
    _wait(lambda: len([*folder.glob("runs-*")]) >= payload["jobs"], seconds=240)
    emit({"event": "step", "node": node})
    time.sleep(payload["stays"] if first else 0)


def one_of_several(payload, emit):
    """On each of several hosts: listen where TF_CONFIG says, reach all, and fail in the way of the payload.

    The host that fails does so in its first attempt; the others then lose it, as a training does.
    """
    told, folder = json.loads(os.environ["TF_CONFIG"]), Path(payload["folder"])
    workers, index = told["cluster"]["worker"], told["task"]["index"]
    failed = folder / "failed"
    attempt = 2 if failed.exists() else 1
    places = [(host, int(port)) for host, _, port in (address.rpartition(":") for address in workers)]
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as TF_GRPC_REUSE_PORT makes TensorFlow do
        mine.bind(("", places[index][1]))
        mine.listen()
        for place in places:
            _reach(place)
        (folder / f"{attempt}-{index}").write_text(str(os.getpid()))
        _wait(lambda: all((folder / f"{attempt}-{other}").exists() for other in range(len(workers))))
    print("printed by host", index)
    node, gpus = psutil.Process().parents()[1].pid, os.environ.get("CUDA_VISIBLE_DEVICES")
    (folder / f"seen-{attempt}-{index}").write_text(json.dumps([node, gpus, os.environ["TF_GRPC_REUSE_PORT"]]))
    if attempt == 1 and index == payload.get("host"):
        failed.touch()
        _fail(payload["fault"])
    if attempt == 1 and "host" in payload:
        _wait(failed.exists)
        time.sleep(0.5)
        raise HostLost("another host of this trial is gone: Connection reset by peer")
    emit({"event": "step", "workers": workers, "attempt": attempt})
    _wait(lambda: all((folder / f"seen-{attempt}-{other}").exists() for other in range(len(workers))))


def _fail(fault):
    if fault == "raise":
        raise HostFailed("OSError: no such image", "crashed")
    if fault == "SIGTERM":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
    os.kill(os.getppid(), signal.SIGKILL)  # Ray's worker, and with it this process
    time.sleep(600)


def _reach(place):
    for _ in range(600):
        try:
            return socket.create_connection(place, 10).close()
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(place)


def _wait(condition, seconds=30):
    for _ in range(20 * seconds):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError


def where():
    import bench

    return bench.__file__


def answer():
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def hang_on_one_node(mark):
    """Stop the process that comes first, as if its disk did not answer; return elsewhere."""
    try:
        with open(mark, "x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGSTOP)


def take(seconds):
    time.sleep(seconds)
    return "done"


def fail():
    raise RuntimeError("raised on the node")
