"""Jobs that go wrong, each in its own way; run by `bench.execution.worker_process` in a process of its own."""

import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest


def fine(payload, emit):
    print("printed by the job")
    emit({"event": "step", "epoch": payload["epoch"]})


def raises(payload, emit):
    raise RuntimeError("raised in the job")


def killed(payload, emit):
    os.kill(os.getpid(), signal.SIGKILL)


def told_to_end(payload, emit):
    for _ in range(2):  # the second one changes nothing
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(600)


def segfaults(payload, emit):
    ctypes.string_at(0)


def exits(payload, emit):
    os._exit(3)


def hangs_in_here(payload, emit):
    emit({"event": "step", "epoch": 1, "pid": os.getpid()})
    time.sleep(600)


def hangs_in_native_code(payload, emit):
    emit({"event": "step", "epoch": 1})
    ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the interpreter lock


def freezes(payload, emit):
    emit({"event": "step", "epoch": 1})
    os.kill(os.getpid(), signal.SIGSTOP)


def works_on(payload, emit):
    for _ in range(payload["signs"]):
        emit({"event": "alive"})
        time.sleep(payload["every"])


def leaves_a_thread(payload, emit):
    threading.Thread(target=time.sleep, args=(600,)).start()


def leaves_a_grandchild(payload, emit):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"], close_fds=False)


def dies_before_its_grandchild(payload, emit):
    child = os.fork()  # without exec it holds all that its parent has open
    if not child:
        time.sleep(30)
        os._exit(0)
    emit({"event": "step", "grandchild": child})
    os.kill(os.getpid(), signal.SIGKILL)


_warmed = None
_marks = []


def warm_up(*arguments):
    """What a fork server calls."""
    global _warmed
    time.sleep(0.01)
    _warmed = arguments


def hangs_while_it_imports():
    time.sleep(600)


def starts_a_thread(*arguments):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def leaves_marks(payload, emit):
    """Tell what this process inherited, and leave traces that one that knew of it would find."""
    marks = [*_marks, *(name for name in ("MARK",) if name in os.environ)]
    told = {"pid": os.getpid(), "parent": os.getppid(), "warmed": _warmed, "marks": marks}
    emit({"event": "step", **told, "imports_s": payload.get("imports_s")})
    _marks.append("module")
    os.environ["MARK"] = "environment"


def kills_its_parent(payload, emit):
    emit({"event": "step", "pid": os.getpid()})
    with open(f"/proc/{os.getppid()}/cmdline") as file:
        assert "fork_server" in file.read(), "a fresh process, whose parent is the test"
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def trains(payload, emit):
    """Real trials of a tiny backbone, one after another: that of the payload, and as `then` changes it."""
    from thin import make_tiny

    from bench.trial import setup
    from bench.trial.entry import worker

    make_tiny()
    one_strategy = functools.cache(setup.make_strategy)  # a second one over two devices would wait for the first
    for change in [{}, *payload.get("then", [])]:
        one = {**payload, **change}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setup, "make_strategy", one_strategy)
            if one.get("mirrored"):
                _mirror(patch, setup)
            _break(patch, one)
            worker(one, emit)


def _mirror(patch, setup):
    """Train one replica on the CPU as several are trained, by a MirroredStrategy, and its step with AutoGraph."""
    import tensorflow as tf

    from bench.core import KERAS_3
    from bench.trial import fit

    patch.setattr(setup, "make_strategy", lambda placement: tf.distribute.MirroredStrategy(["CPU:0"]))
    patch.setattr(fit, "_spare_autograph", lambda model, spec: None)
    if not KERAS_3:  # which uses it itself
        patch.setattr(tf.autograph.experimental, "do_not_convert", lambda function: function)


def _break(patch, payload):
    """From the image `broken_from` on pictures cannot be read; memory runs out in the CRF; pictures are gone."""
    from bench.data.pipeline import Crops

    read, broken_from = Crops.__getitem__, payload.get("broken_from", float("inf"))

    def reads(self, position):
        if position >= broken_from:
            raise OSError("images/b.png: image file is truncated")
        return read(self, position)

    patch.setattr(Crops, "__getitem__", reads)
    if payload.get("no_crf"):
        import tensorflow as tf

        from bench.trial import views

        predictor = views.predictor

        def allocates(view, *rest):
            if view.crf:
                raise tf.errors.ResourceExhaustedError(
                    None, None, "OOM when allocating tensor with shape[8,513,513,21]"
                )
            return predictor(view, *rest)

        patch.setattr(views, "predictor", allocates)
    if payload.get("no_pictures"):
        from bench.trial import artefacts

        save_pictures = artefacts.save_pictures

        def gone(prepared, *rest):
            splits = {name: replace(split, reader=reads_nothing) for name, split in prepared.dataset.splits.items()}
            save_pictures(replace(prepared, dataset=replace(prepared.dataset, splits=splits)), *rest)

        patch.setattr(artefacts, "save_pictures", gone)


def reads_nothing(key):
    raise OSError("images/b.png: no such file")
