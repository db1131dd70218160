"""What all tests share."""

import os

import pytest

from bench.core import prepare_process
from tests.faults.thin import make_thin, make_tiny

# Most of the time of compiling by XLA is LLVM's, whose optimisations change nothing that is compared.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
prepare_process()  # as every process that trains or predicts does, before TensorFlow comes in

# Files in which a worker spends more than twenty seconds: they start first, so that no core waits for the last of them.
# Those that compute and those that wait for processes (Ray, kills, time limits) take turns, so that they overlap.
LONGEST = (
    "test_schedule", "test_laws", "test_trial", "test_score_laws", "test_replicas", "test_run", "test_bisect",
    "test_builder", "test_stops", "test_supervisor", "test_versus", "test_kill", "test_output_stride",
    "test_resume", "test_run_cli", "test_crf", "test_reports", "test_moves", "test_predict", "test_store",
    "test_export", "test_quiet_exit", "test_disturbers", "test_comparison",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def _pictures_of_this_session(tmp_path_factory):
    """Decoded pictures that earlier sessions left in the user's cache are not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGMENTATION_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def thin_resnet():
    """`resnet18` of KerasCV with one narrow block per stage: its row."""
    from models import BACKBONES

    row = BACKBONES["resnet18"]
    before = row.arguments
    make_thin()
    yield row
    object.__setattr__(row, "arguments", before)


@pytest.fixture(scope="module")
def tiny_backbone():
    """`resnet18` as five convolutions, as in the trials of tests/faults/thin.py: its row."""
    from models import BACKBONES

    row = BACKBONES["resnet18"]
    before = row.constructor
    make_tiny()
    yield row
    object.__setattr__(row, "constructor", before)


@pytest.fixture(scope="module")
def thin_crf():
    """A dense CRF of two updates instead of five, where nothing else is asked for: tracing each takes the time."""
    from models import DenseCRF

    iterations, *others = DenseCRF.__init__.__defaults__
    assert iterations == 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DenseCRF.__init__, "__defaults__", (2, *others))
        yield
