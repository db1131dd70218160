"""The real command with trials that train nothing: `python -m fault_trials ARGUMENTS OF bench.run`.

What a trial does stands in the file that FAULTS names, a JSON object of behaviours by loss; without one it is done.
"scores" in it are mIoU by loss and seed; "kill once" kills the worker of a loss at its first attempt, "wait at N" lets
the trial of seed N wait.
"""

import json
import math
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import results
from bench.core import HostFailed, describe
from bench.data import load
from bench.spec import parse

ENTRY = "fault_trials:worker"


def worker(payload, emit):
    faults = Path(os.environ.get("FAULTS", "absent"))
    loss = payload["spec"]["loss"]["name"]
    said = json.loads(faults.read_text()) if faults.exists() else {}
    behaviour = said.get(loss, "")
    once = Path(payload["folder"]).parents[1] / f"killed-{loss}"
    if behaviour == "kill once" and not once.exists():
        once.touch()
        os.kill(os.getppid(), signal.SIGKILL)  # Ray's worker; the trial ends with it
        time.sleep(60)
    behaviour = "wait" if behaviour == f"wait at {payload['spec']['seed']}" else behaviour
    emit({"event": "step", "epoch": 1, "step": 1, "loss": 1.0})
    if behaviour == "wait":
        print("the trial waits", flush=True)
        time.sleep(600)
    if behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "raise":
        raise RuntimeError("raised in the trial")
    if behaviour == "fill" and not Path(os.environ["ROOM"]).exists():
        Path(os.environ["ROOM"]).touch()
        with open(Path(payload["folder"]) / "junk", "wb", buffering=0) as junk:
            while junk.write(b"0" * 4096):
                pass
    if behaviour == "nan":
        error = {"kind": "Diverged", "message": "the loss is not finite at step 1"}
        return _write(payload, status="diverged", error=error)
    if behaviour == "oom" and payload["spec"]["train"]["batch_size"] > 4:
        return _write(payload, status="oom", error={"kind": "ResourceExhaustedError", "message": "OOM"})
    if behaviour == "oom elsewhere" and payload["spec"]["train"]["batch_size"] > 4:
        raise HostFailed("ResourceExhaustedError: OOM", "oom")  # as on a host that writes no record
    if behaviour == "stay":
        threading.Thread(target=time.sleep, args=(600,)).start()  # the interpreter waits for it when it ends
    # As if every loss had a learning rate of its own that suits it.
    best = {"cross_entropy": 1e-3, "dice": 1e-2}.get(loss, 1e-3)
    if scores := said.get("scores", {}).get(loss):
        miou = scores[payload["spec"]["seed"]]
        return _write(payload, status="ok", views=[{"view": "default", "split": "val", "images": 1, "miou": miou}])
    miou = 0.8 - 0.1 * abs(math.log10(payload["spec"]["train"]["learning_rate"] / best))
    return _write(payload, status="ok", views=[{"view": "default", "split": "val", "images": 1, "miou": miou}])


def _write(payload, **fields):
    spec = payload["spec"]
    results.write(
        payload["folder"],
        results.Record(
            trial=payload["trial"],
            cell=parse(spec, "test").cell,
            label=payload["label"],
            axes=payload["axes"],
            seed=spec["seed"],
            spec=spec,
            tuning=payload["tuning"],
            environment=describe(),
            dataset=_dataset(parse(spec, "test").data),
            **fields,
        ),
    )


def _dataset(data):
    """What a trial records of a folder of pictures."""
    if data.root is None:
        return None
    found = load(data)
    return {"name": found.name, "version": found.version, "class_names": found.class_names, "colors": found.colors}


if __name__ == "__main__":
    from bench.core import start
    from bench.execution import FailurePolicy, runner
    from bench.run import main

    runner.ENTRY, runner.WARM_UP = ENTRY, ""
    limits = FailurePolicy.limits.fget
    FailurePolicy.limits = property(lambda self: replace(limits(self), exit=1.0))
    sys.argv[0] = "bench.run"
    start(main)
