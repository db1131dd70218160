"""Which settings of a spec the installed packages cannot provide."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

from bench.core import KERAS_3, UsageError, has_addons
from bench.spec.trial_spec import Placement, TrainSpec
from models import ModelSpec

ADDONS_ONLY = ("rectified_adam", "novograd", "lookahead", "swa")


def check_available(train: TrainSpec) -> None:
    """Refuse an optimiser or wrapper that the installed packages do not provide.

    Raises:
        UsageError: names the setting and the alternatives.
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


def check_architecture(model: ModelSpec) -> None:
    """Refuse a model of KerasHub where it is not installed.

    Raises:
        UsageError: names the setting and what to install.
    """
    if "keras_hub" not in model.packages or (KERAS_3 and find_spec("keras_hub")):
        return
    python = "" if KERAS_3 else f"; it needs Keras 3, and this is {version('keras')}: use `make PYTHON=python3.12`"
    raise UsageError(
        f"model.architecture {model.architecture!r} comes from KerasHub: pip install 'segmentation-bench[kerashub]'"
        f"{python}"
    )


def check_hosts(placement: Placement) -> None:
    """Refuse several hosts under Keras 3, whose `fit` fails there (issue 20585 of keras-team/keras).

    Raises:
        UsageError: names the setting and the alternative.
    """
    if placement.hosts > 1 and KERAS_3:
        raise UsageError(
            f"placement.hosts {placement.hosts}: several hosts need Keras 2; `fit` of Keras {version('keras')} fails "
            "under MultiWorkerMirroredStrategy (keras issue 20585): use `make PYTHON=python3.11`, or one host"
        )
