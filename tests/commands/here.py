"""A command in the process of the tests, which has its imports already: what a case costs is the command alone."""

import sys

import pytest

from bench.core import signals, start


def call(main, *arguments, cwd, patch, capsys):
    """Call a command as `python -m bench.NAME` does: its exit status, and what it wrote on both outputs."""
    patch.chdir(cwd)
    patch.setattr(signals, "install", lambda: None)  # the handlers are those of the tests
    patch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        start(main)
    return end.value.code, *capsys.readouterr()
