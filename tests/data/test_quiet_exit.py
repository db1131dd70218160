"""The end of a process whose input is still running: real processes, each of which has to end by itself."""

import json
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
    return json.loads(done.stdout)


def test_no_call_is_under_way_when_the_interpreter_ends_and_none_begins():
    """Where one was, the process hung: on both stacks, every time."""
    assert run(HERE / "last_calls.py", seconds=SECONDS) == {"under way": 0, "begun later": 0}


@pytest.mark.slow
def test_two_hundred_processes_end_while_their_input_is_running():
    ends = run(HERE / "endings.py", "exit,fit,raise,interrupt", 200, 8, SECONDS, seconds=30 * SECONDS)
    assert ends == {"exit 3": 50, "fit 3": 50, "raise 1": 50, "interrupt -2": 50}
