"""Ray's provider of pretended nodes, for which the autoscaler of a test starts nodes on this machine."""

import itertools

from ray._private import ray_constants
from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider

_numbers = itertools.count(1)


class Nodes(FakeMultiNodeProvider):
    """The nodes share a machine; each unpacks the code that a run sends into a folder of its own, as hosts do.

    In a common folder the next node would remove it, to unpack it again, while trials use it.
    """

    def _create_node_with_resources_and_labels(self, *arguments):
        usual = ray_constants.DEFAULT_RUNTIME_ENV_DIR_NAME
        ray_constants.DEFAULT_RUNTIME_ENV_DIR_NAME = f"{usual}-{next(_numbers)}"
        try:
            super()._create_node_with_resources_and_labels(*arguments)
        finally:
            ray_constants.DEFAULT_RUNTIME_ENV_DIR_NAME = usual
