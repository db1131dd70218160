"""`python thin.py TRIAL [TRIAL ...]`: trials of a thin ResNet18 in one process, by the command `bench.trial`.

Each TRIAL is a JSON list of the command's arguments. Behind each, a line "status N" goes to standard error.
"""

import json
import sys


def make_thin() -> None:
    """Let `resnet18` have one narrow block per stage from here on: building and tracing it takes a test's time."""
    from models import BACKBONES

    row = BACKBONES["resnet18"]
    thin = {"stackwise_filters": (64, 24, 32, 40), "stackwise_blocks": (1, 1, 1, 1)}
    object.__setattr__(row, "arguments", {**row.arguments, **thin})


if __name__ == "__main__":
    from bench.core import start
    from bench.trial.__main__ import main

    make_thin()
    for arguments in map(json.loads, sys.argv[1:]):
        sys.argv = ["bench.trial", *arguments]
        try:
            start(main)
        except SystemExit as end:
            print("status", end.code, file=sys.stderr, flush=True)
