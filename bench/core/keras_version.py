"""Which generation of Keras is installed, read from package metadata without importing Keras."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

KERAS_3 = int(version("keras").split(".")[0]) >= 3


def has_addons() -> bool:
    """Return whether tensorflow-addons is installed, by package metadata alone."""
    try:
        return bool(version("tensorflow-addons"))
    except PackageNotFoundError:
        return False
