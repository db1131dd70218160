#!/bin/sh
# Ray 2.60.0 runs every task, actor and Tune trial at nice 15, so a timed training measures its neighbours.
#
# The driver keeps its own priority; the processes that do the work are started at nice 15. The scheduler of Linux
# gives nice 15 a weight of 36 where a plain process has 1024. Nothing that is printed says so, and a request for a
# whole CPU does not change it. On an idle machine nothing is to be seen. Beside one ordinary busy process per core, a
# trial gets a thirtieth of the time. The switch is an environment variable of the worker: RAY_worker_niceness.
#
# Seen: driver 0, task 15; CPU time of a task beside a plain process on one and the same core: 0.03 to 0.05 of the
# plain one's; with RAY_worker_niceness=0 in the runtime environment: 0, and about 1.
# Consequence: trials are started with that variable, see bench/execution/ray_tune.py; a speed measured by a trial
# of Ray beside other work cannot be compared with one measured by a script.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "ray==2.60.0"
RAY_USAGE_STATS_ENABLED=0 "$folder/env/bin/python" - <<'PYTHON'
import os
import time

import ray

SECONDS = 6.0


def spin(core, until):
    """Work on one core until a time; return the niceness and the CPU seconds that it got."""
    os.sched_setaffinity(0, {core})
    while time.time() < until - SECONDS:
        time.sleep(0.01)
    before = time.process_time()
    while time.time() < until:
        pass
    return os.getpriority(os.PRIO_PROCESS, 0), time.process_time() - before


def beside(variables):
    """Return the niceness of driver and task, and the task's CPU time over that of a plain process on its core."""
    ray.init(
        num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False,
        runtime_env={"env_vars": variables},
    )
    own, core = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
    until = time.time() + 30 + SECONDS
    task = ray.remote(spin).remote(core, until)
    driver, mine = spin(core, until)
    worker, its = ray.get(task)
    os.sched_setaffinity(0, own)
    ray.shutdown()
    return driver, worker, its / mine


plain = beside({"UNUSED": "1"})
switched = beside({"RAY_worker_niceness": "0"})
print("driver, task, share:", plain)
print("with the variable:  ", switched)
same = plain[1] - plain[0] == 15 and plain[2] < 0.08
raise SystemExit(not (same and switched[0] == switched[1] and 0.7 < switched[2] < 1.4))
PYTHON
