"""A Ray cluster for the tests of a file: nodes with pretended GPUs on this machine."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def faults(tmp_path_factory):
    """The file that says what trials of `fault_trials` do, wherever they run."""
    return tmp_path_factory.mktemp("faults") / "faults.json"


@pytest.fixture(scope="module")
def cluster(faults):
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", f"{HERE}:{HERE.parent / 'faults'}")  # where the workers find the functions of the tests
    patch.setenv("FAULTS", str(faults))
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # hidden GPUs cannot be pretended
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 2, "include_dashboard": False})
    made.add_node(num_cpus=2, num_gpus=2)
    yield made
    made.shutdown()
    patch.undo()
