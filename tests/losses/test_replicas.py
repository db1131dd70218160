"""One device and two give the same update and value, with void and classes spread unevenly over the two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import losses
from tests.trial.two_hosts import started

ROOT = Path(__file__).parents[2]


def measured(*options: str) -> dict[str, list[float]]:
    """Two logical devices must be set up before TensorFlow starts, hence the process of its own."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("replica_worker.py"), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def report() -> dict[str, list[float]]:
    return measured()


@pytest.mark.slow
def test_every_graph_gives_the_same_update_and_value() -> None:
    found = {case: differences for case, differences in measured("--graphs").items() if case.startswith("fit")}
    assert {case.split()[1] for case in found} == {*losses.names()}
    assert {case: differences for case, differences in found.items() if max(differences) >= 1e-6} == {}


@pytest.mark.slow
@pytest.mark.skipif(keras.__version__.startswith("3."), reason="`fit` of Keras 3 fails on several hosts")
def test_two_hosts_give_the_same_update_and_value() -> None:
    """The two devices are those of two processes, which reduce over a socket."""
    first, second = started([sys.executable, Path(__file__).with_name("replica_worker.py")])
    for status, _, error in (first, second):
        assert status == 0, error[-3000:]
    report = json.loads(first[1].splitlines()[-1])
    found = {case: differences for case, differences in report.items() if case.split()[0] in ("fit", "loop")}
    assert {case.split()[1] for case in found} == {*losses.names()}
    assert {case: differences for case, differences in found.items() if max(differences) >= 1e-6} == {}


@pytest.mark.parametrize("name", losses.names())
@pytest.mark.parametrize("way", ["fit", "loop"])
def test_same_update_and_value(report: dict[str, list[float]], name: str, way: str) -> None:
    """Under `fit` with the loss's own average, in a loop with the other one where there is one."""
    found = [differences for case, differences in report.items() if case.split()[:2] == [way, name]]
    assert len(found) == 1
    update, value = found[0]
    assert update < 1e-6
    assert value < 1e-6


def test_losses_of_keras(report: dict[str, list[float]]) -> None:
    """docs/losses-elsewhere.md on them: Keras 3 multiplies a scalar, and means of means are not the mean."""
    scalar, pixels, void = (report[f"keras {case}"] for case in ("scalar", "pixels", "void"))
    assert scalar[0] == pytest.approx(2.0 if keras.__version__.startswith("3.") else 1.0, rel=1e-5)
    assert pixels[1] < 1e-5
    assert void[1] > 1e-2
