"""`python -m tests.cluster.fleet [--hosts 3] [--gpus 64] OPTIONS OF bench.perf.fleet`: it, on hosts of a test bed."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster import hosts


def run(folder, words, count=3, gpus=64):
    """Exit status and output of `bench.perf.fleet` on so many hosts with so many pretended GPUs each."""
    with hosts.Bed(folder, *[f"host{number}" for number in range(1, count + 1)]) as bed:
        bed.start_ray(everywhere=(f"--num-gpus={gpus}", f"--num-cpus={gpus}"))
        command = (sys.executable, "-m", "bench.perf.fleet", "--storage", hosts.SHARED / "runs", *words)
        process = bed.head.run(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        output, _ = process.communicate()
        return process.returncode, output


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--gpus", type=int, default=64)
    chosen, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as place:
        status, told = run(Path(place), rest, chosen.hosts, chosen.gpus)
    print(told)
    sys.exit(status)
