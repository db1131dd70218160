"""`bench.run` with thin trials on the hosts of a test bed, followed from outside."""

import contextlib
import signal
import subprocess
import sys
import time

import psutil

import results
from bench.core import ATTEMPTS_FILE, read_checkpoint, read_progress
from tests.cluster import hosts

THIN = (
    "train.steps_per_epoch=2", "train.batch_size=2", "eval.batch_size=3", "data.size=64", "data.crop=64",
    "data.train_limit=4", "data.val_limit=3", "data.test_limit=2", "eval.pictures=0", "eval.window_steps=1",
    "model.weights=none", "model.backbone=resnet18", "model.separable=false", "model.aspp_channels=16",
    "model.decoder_channels=16",
)  # fmt: skip
SECONDS = 600


class Run:
    """`bench.run` with thin trials on a host, the first unless another is given; or one that goes on with it."""

    def __init__(self, bed, *arguments, epochs=0, losses="dice,focal", host=None, resumes=False):
        self.folder = bed.shared / "runs" / "r"
        self.told = bed.shared / f"told{resumes or ''}.txt"
        settings = [word for field in (*THIN, f"train.epochs={epochs}") for word in ("--set", field)]
        grid = ("--grid", "losses", "--only", f"loss={losses}", "--seeds", 1, "--gpus-per-trial", 0, "--name", "r")
        place = hosts.SHARED / "runs"
        words = ("--resume", place / "r") if resumes else (*grid, "--storage", place, *settings)
        with open(self.told, "wb") as out:
            self.process = (host or bed.head).run(
                sys.executable, "-m", "thin_run", *words, "--address", "auto", *arguments, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out,
            )  # fmt: skip

    @property
    def output(self):
        return self.told.read_text()

    def wait_for(self, condition, seconds=SECONDS):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)
        return found

    def on(self, host, epoch):
        """The name of the trial that runs on a host and has done this many epochs."""
        found = read_progress(self.folder)
        return found and next((n for n, o in found.running.items() if o.host == host and o.epoch >= epoch), None)

    def end(self):
        self.process.wait(SECONDS)
        return self.process.returncode, self.output

    def stop(self):
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            psutil.Process(self.process.pid).children()[0].send_signal(signal.SIGINT)

    def record(self, trial):
        return results.read(self.folder / "trials" / trial)

    def attempts(self, trial):
        """(host, process id) of each start of a trial."""
        lines = (self.folder / "trials" / trial / ATTEMPTS_FILE).read_text().splitlines()
        return [tuple(line.split()[1:3]) for line in lines]

    def epochs(self, trial):
        """The epochs that the checkpoint of a trial holds."""
        found = read_checkpoint(self.folder / "trials" / trial)
        return len(found.state["history"]) if found else 0


def figures(name, **values):
    """Print what a test has measured; `pytest -s` shows it."""
    print(f"\n{name}: " + ", ".join(f"{key} {value}" for key, value in values.items()))
