"""The real `bench.trial` of a tiny backbone, in which from the image `BROKEN_FROM` on the pictures cannot be read."""

import os
import sys
import time

from thin import make_tiny

from bench.core import start
from bench.data.pipeline import Crops
from bench.trial.__main__ import main

make_tiny()

read = Crops.__getitem__


def reads(self, position):
    if position >= float(os.environ.get("BROKEN_FROM", "inf")):
        raise OSError("images/b.png: image file is truncated")
    time.sleep(0.01)  # so that calls are under way whenever it ends
    return read(self, position)


Crops.__getitem__ = reads
sys.argv[0] = "bench.trial"
start(main)
