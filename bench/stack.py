"""Which generation of Keras this is, known without importing it, and what only the other one has."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from bench.errors import UsageError
from bench.spec import TrainSpec

KERAS_3 = int(version("keras").split(".")[0]) >= 3
ADDONS_ONLY = ("rectified_adam", "novograd", "lookahead", "swa")


def has_addons() -> bool:
    try:
        return bool(version("tensorflow-addons"))
    except PackageNotFoundError:
        return False


def check(train: TrainSpec) -> None:
    """Refuse by name what the installed stack lacks.

    Raises:
        UsageError: with the ways out.
    """
    for name in (train.optimizer, train.wrapper):
        if name in ADDONS_ONLY and not has_addons():
            raise UsageError(
                f"{name!r} comes from tensorflow-addons, which ends at Python 3.11; this is Keras {version('keras')}: "
                "use `make PYTHON=python3.11`, or adam, adamw, sgd or lamb without a wrapper"
            )
    if train.wrapper != "none" and train.optimizer == "adamw":
        raise UsageError(
            f"train.wrapper {train.wrapper!r} of tensorflow-addons cannot wrap 'adamw'; "
            "set train.optimizer to adam, sgd, lamb, rectified_adam or novograd"
        )
