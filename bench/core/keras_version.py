"""Which Keras there is: its generation, read from package metadata, and that `tf.keras` is the package `keras`."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version

from bench.core.errors import UsageError

KERAS_3 = int(version("keras").split(".")[0]) >= 3
LEGACY_VARIABLE = "TF_USE_LEGACY_KERAS"
"""Makes `tf.keras` the package tf_keras. Users of TensorFlow Extended set it, and tensorflow_transform does."""


def has_addons() -> bool:
    """Return whether tensorflow-addons is installed, by package metadata alone."""
    try:
        return bool(version("tensorflow-addons"))
    except PackageNotFoundError:
        return False


def settle_keras() -> None:
    """Make `tf.keras` the package `keras`, in this process and in those that it starts.

    Our layers are those of `keras`, and KerasCV's are those of `tf.keras`: a model of both cannot be built. TensorFlow
    chooses when `tf.keras` is first used, and keeps to its choice; if it is imported already, this is that use.

    Raises:
        UsageError: TensorFlow has chosen otherwise before.
    """
    set_by_user = os.environ.pop(LEGACY_VARIABLE, None)
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return
    import keras

    if tensorflow.keras.Model is not keras.Model:
        told = f"{LEGACY_VARIABLE}={set_by_user}" if set_by_user else LEGACY_VARIABLE
        raise UsageError(
            f"tf.keras is tf_keras in this process, because TensorFlow was used before with {told}; unset it where "
            f"this Python starts: the suite needs keras {version('keras')}"
        )
