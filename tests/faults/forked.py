"""Processes of the command `bench.run` that are forked from one with its imports: a start costs no imports.

`python -m tests.faults.forked` is that one. It answers requests on standard input: lines of JSON, as are its answers.
"""

import functools
import importlib
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
IMPORTS = ("bench.run", "bench.execution.runner", "bench.execution.ray_tune", "reports", "tests.faults.fault_trials")
IMPORTS += ("pandas", "seaborn", "scipy.stats")


class Forked:
    """`python -m MODULE WORDS` in a session of its own, with what tests use of `subprocess.Popen`.

    Both outputs go to the file `output`, of which `stdout` reads what is there.
    """

    def __init__(self, module, words, cwd, environment, output):
        output.touch()
        self.stdout = output.open()
        self._status = None
        self.pid = _answer(
            module=module, words=words, cwd=str(cwd), environment=environment, output=str(output.resolve())
        )

    def poll(self):
        self._status = _answer(poll=self.pid) if self._status is None else self._status
        return self._status

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", seconds)
            time.sleep(0.05)
        return self._status

    def send_signal(self, number):
        os.kill(self.pid, number)


@functools.cache
def _server():
    """The process with the imports; it ends with this one, which closes its standard input."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.forked"], cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def _answer(**request):
    print(json.dumps(request), file=_server().stdin, flush=True)
    return json.loads(_server().stdout.readline())


def main():
    for name in IMPORTS:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if child := request.get("poll"):
            ended, status = os.waitpid(child, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        elif not (answer := os.fork()):
            _run(**request)
            break  # and the child ends as any other process
        print(json.dumps(answer), flush=True)


def _run(module, words, cwd, environment, output):
    os.setsid()
    for standard, file in ((0, os.devnull), (1, output), (2, output)):
        os.dup2(os.open(file, os.O_RDWR | os.O_APPEND), standard)
    os.environ.update(environment)  # what the imports set stays
    os.chdir(cwd)
    sys.path[:1] = [cwd, *environment["PYTHONPATH"].split(os.pathsep)]
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
