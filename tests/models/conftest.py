"""What tests of whole models share."""

import gc
from collections.abc import Iterator

import keras
import pytest


@pytest.fixture
def double() -> Iterator[None]:
    """In double precision a slip of a graph cannot hide behind rounding, nor rounding look like a slip."""
    keras.backend.set_floatx("float64")
    keras.mixed_precision.set_global_policy("float64")
    yield
    keras.backend.set_floatx("float32")
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(autouse=True)
def _freed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hundreds of whole models would not fit into memory together."""
    yield
    if request.node.get_closest_marker("slow"):
        keras.backend.clear_session()
        gc.collect()
