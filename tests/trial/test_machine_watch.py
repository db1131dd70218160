"""What is read of the machine: files as the kernel writes them, real children, and a process that is stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from bench.trial import gpu_watch, machine_watch
from bench.trial.gpu_watch import GpuWatch, visible
from bench.trial.machine_watch import MachineWatch, core_seconds, own_seconds, throttled_seconds

STAT = """cpu  700 100 300 5000 10 5 6 40 50 0
cpu0 200 100 100 1000 1 2 3 10 50 0
cpu1 500 0 200 4000 9 3 3 30 0 0
intr 1 2 3
"""


def test_busy_and_stolen_seconds_are_those_of_the_trial_s_cores(tmp_path):
    """In hundredths: user, nice and system of core 1 are 700, stolen 30; idle, waiting and interrupts are not busy."""
    stat = tmp_path / "stat"
    stat.write_text(STAT)
    tick = os.sysconf("SC_CLK_TCK")
    assert core_seconds(frozenset({1}), stat) == (700 / tick, 30 / tick)
    assert core_seconds(frozenset({0, 1}), stat) == (1100 / tick, 40 / tick)


@pytest.mark.parametrize("text", [None, "", STAT, STAT.replace("cpu1", "cpu7"), "cpu1 1 2 3\n", "cpu1 a b\n"])
def test_what_cannot_be_read_is_unknown(tmp_path, text):
    stat = tmp_path / "stat"
    if text is not None:
        stat.write_text(text)
    assert core_seconds(frozenset({1, 2} if text == STAT else {1}), stat) == (None, None)


@pytest.mark.parametrize(
    ("folder", "text", "seconds"),
    [
        ("", "usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n", 2.5),
        ("a/b", "usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n", 2.5),
        ("cpu", "nr_periods 4\nnr_throttled 3\nthrottled_time 1500000000\n", 1.5),
        ("cpu/a/b", "nr_periods 4\nnr_throttled 3\nthrottled_time 1500000000\n", 1.5),
        ("", "usage_usec 9\n", None),
        ("elsewhere", "throttled_usec 1\n", None),
    ],
)
def test_a_quota_is_that_of_the_own_control_group(tmp_path, folder, text, seconds):
    (tmp_path / "groups" / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "groups" / folder / "cpu.stat").write_text(text)
    (tmp_path / "own").write_text("0::/a/b\n")
    assert throttled_seconds(tmp_path / "groups", tmp_path / "own") == seconds
    assert throttled_seconds(tmp_path / "groups", tmp_path / "absent") == (None if folder.endswith("a/b") else seconds)


def test_the_work_of_children_is_the_trial_s_own_while_they_live_and_when_they_ended():
    work = "import time\nwhile time.process_time() < 0.6: pass\nprint(flush=True)\ninput()"
    before, alone = own_seconds(), time.process_time()
    child = subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline()
        assert own_seconds() - before >= 0.5, "it lives"
    finally:
        child.communicate(b"\n")
    assert time.process_time() - alone < 0.5
    assert own_seconds() - before >= 0.5, "it ended"


def test_a_sample_knows_this_process():
    with MachineWatch() as watch:
        first, began = watch.sample(), time.process_time()
        while time.process_time() - began < 0.2:  # `first.own` counts the children of this process, too
            pass
        second = watch.sample()
    assert second.own - first.own >= 0.2
    assert second.wall > first.wall
    assert (first.cores, first.stood_still, first.gpus) == (machine_watch.usable_cores(), 0, ())
    if first.busy is not None:
        assert second.busy - first.busy >= 0.2 - 0.02 * len(os.sched_getaffinity(0))


STOPPED = """
import sys, time
from bench.trial.machine_watch import MachineWatch
with MachineWatch() as watch:
    watch.sample()
    print("ready", flush=True)
    sys.stdin.readline()
    print(watch.sample().stood_still, flush=True)
"""


def test_a_process_that_is_stopped_notices_it_when_it_goes_on():
    child = subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=machine_watch.__file__.rpartition("/bench/")[0],
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        child.send_signal(signal.SIGCONT)
        told, _ = child.communicate("\n", timeout=60)
    finally:
        child.kill()
    assert float(told) >= 1.4


def test_without_a_driver_everything_is_unknown_and_nothing_fails():
    watch = GpuWatch(2)
    if not watch._handles:
        assert watch.read() == ({}, {})
    watch.close()
    assert GpuWatch(0).read() == ()
    assert visible(2, None) == ["0", "1"]
    assert visible(2, "3, GPU-abc,5") == ["3", "GPU-abc"]


NVML = """
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)(long)(index + 1); return 0; }
int nvmlDeviceGetHandleByUUID(const char *name, void **device) { *device = (void *)7; return name[4] == 'x' ? 0 : 6; }
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *value) { *value = 1000 * (long)device; return 0; }
int nvmlDeviceGetClockInfo(void *device, int type, unsigned *value) { *value = 1900 + type; return 0; }
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *value) { return 3; }
int nvmlDeviceGetComputeRunningProcesses(void *device, unsigned *count, void *infos) {
    *count = (long)device == 7 ? 0 : 2;
    return *count ? 7 : 0;
}
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_what_a_driver_says_is_read_as_its_manual_has_it(tmp_path, monkeypatch):
    """A library in the place of the driver's, with its signatures: no GPU is needed to see that they are met."""
    (tmp_path / "nvml.c").write_text(NVML)
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", tmp_path / "nvml.so", tmp_path / "nvml.c"], check=True)
    monkeypatch.setattr(gpu_watch, "_LIBRARY", str(tmp_path / "nvml.so"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-x")
    watch = GpuWatch(2)
    known = {"clock_mhz": 1901, "temperature_c": None}
    assert watch.read() == (
        {**known, "power_limit_w": 4.0, "other_processes": 1},
        {**known, "power_limit_w": 7.0, "other_processes": None},
    )
    watch.close()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-y")
    assert GpuWatch(2).read() == ({}, {}), "one of the two is not known"
