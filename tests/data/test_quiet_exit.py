"""The end of a process whose input is still running: real processes, each of which has to end by itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SECONDS = 120
"""Ten times what a start takes on two busy cores; one that hangs stays for ever."""


def run(*arguments, seconds):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_no_call_is_under_way_when_the_interpreter_ends_and_none_begins():
    """Where one was, the process hung: on both stacks, every time."""
    assert run(HERE / "last_calls.py", seconds=SECONDS) == ["0", "0"]


@pytest.mark.parametrize(("how", "many", "status"), [("exit", 16, 3), ("raise", 2, 1), ("interrupt", 2, -2)])
def test_processes_end_while_their_input_is_running(how, many, status):
    assert run(HERE / "endings.py", how, many, 8, SECONDS, seconds=4 * SECONDS) == [str(status)] * many


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status"), [("exit", 3), ("fit", 3), ("raise", 1), ("interrupt", -2)])
def test_two_hundred_processes_end_while_their_input_is_running(how, status):
    assert run(HERE / "endings.py", how, 200, 8, SECONDS, seconds=100 * SECONDS) == [str(status)] * 200
