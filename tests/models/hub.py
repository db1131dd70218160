"""Marks of tests by whether KerasHub can be used here."""

import importlib.util

import pytest

from bench.core import KERAS_3

_HERE = KERAS_3 and importlib.util.find_spec("keras_hub") is not None
WITH_HUB = pytest.mark.skipif(not _HERE, reason="KerasHub (extra kerashub) is not installed")
WITHOUT_HUB = pytest.mark.skipif(_HERE, reason="KerasHub is installed")
REFERENCES = [
    "keras_cv", pytest.param("keras_hub", marks=WITH_HUB), pytest.param("keras_hub_segformer", marks=WITH_HUB)
]  # fmt: skip
"""`models.REFERENCES`, as values of a parameter."""
