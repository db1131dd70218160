"""No-op trials over several hosts, beside what Ray itself takes for them. Slow."""

import re
import sys

import pytest

from tests.cluster import fleet, hosts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sys.platform != "linux" or hosts.why_not()), reason=f"no hosts: {hosts.why_not()}"),
]


def test_no_op_trials_leave_three_files_each_and_are_measured_beside_rays_own(tmp_path):
    words = ("--trials", 16, "--at-a-time", 4, "--fresh", 4)
    status, output = fleet.run(tmp_path, words, count=2, gpus=8)
    assert status in (0, 1), output  # the bar may be missed on a busy machine
    assert "2 nodes, 16 GPUs; a trial has 1 CPU and 1 GPU" in output
    assert "Files of a trial: log.txt 1.0, record.json 1.0, spec.json 1.0" in output
    renamed = float(re.search(r"rename (\S+)", output)[1])
    assert 2.0 <= renamed < 4.0, "record and specification are written under other names first"
    assert output.count("| no-op trial, of 16, 4 at a time | s |") == 3
