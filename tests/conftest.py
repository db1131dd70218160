"""What all tests share."""

import pytest

from bench.environment import prepare_process

prepare_process()  # as every process that trains or predicts does, before TensorFlow comes in


@pytest.fixture(scope="session", autouse=True)
def _pictures_of_this_session(tmp_path_factory):
    """Decoded pictures that earlier sessions left in the user's cache are not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGMENTATION_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
