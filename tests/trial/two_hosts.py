"""Two processes that stand for two hosts: TF_CONFIG names both, on ports that were free a moment ago."""

import json
import os
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def configurations():
    """TF_CONFIG of the first and of the second host."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    return [json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}) for i in range(2)]


def begun(command, hosts=2, further=({}, {})):
    """The process of a command on each host, with its further variables; a host alone has no TF_CONFIG."""
    common = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    return [
        subprocess.Popen(
            [str(word) for word in command], cwd=ROOT,
            env={**common, **({"TF_CONFIG": own} if hosts > 1 else {}), **more},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for own, more in zip(configurations()[:hosts], further, strict=False)
    ]  # fmt: skip


def ended(processes, seconds=600):
    """(exit status, output, errors) of the command on each host."""
    try:
        told = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *one) for process, one in zip(processes, told, strict=True)]


def started(command, hosts=2, seconds=600):
    """(exit status, output, errors) of a command on each host."""
    return ended(begun(command, hosts), seconds)
