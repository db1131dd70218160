"""The real command with real trials of a tiny backbone: `python -m thin_run ARGUMENTS OF bench.run`."""

import os
import sys


def worker(payload, emit):
    """Call the command's own entry of a trial."""
    from thin import make_tiny

    from bench.execution.worker_process import function

    make_tiny()
    function(os.environ["ENTRY"])(payload, emit)


if __name__ == "__main__":
    from bench.core import start
    from bench.execution import runner
    from bench.run import main

    os.environ["ENTRY"], runner.ENTRY = runner.ENTRY, "thin_run:worker"
    sys.argv[0] = "bench.run"
    start(main)
