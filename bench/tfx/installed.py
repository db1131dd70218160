"""What of TFX's family is installed here, and what can be: one line of what works in place of an ImportError."""

from __future__ import annotations

import importlib
import platform

from bench.core import UsageError

_OLD = "TFX 1.15.1 with TensorFlow 2.15 on Python 3.11 (`make tfx`, then .venv-tfx/bin/python)"
_NEW = "TFX 1.21 with TensorFlow 2.21 on Python 3.12 or 3.13 (`pip install -e '.[tfx]'`)"
_GLIBC = (2, 39)
"""The oldest glibc for which ml-metadata 1.21 and tensorflow-data-validation 1.21 have wheels; they have no source."""


def works_here() -> str:
    """Return the combination of versions that works on this machine, for a message."""
    name, version = platform.libc_ver()
    if platform.machine() != "x86_64" or name != "glibc":
        return f"{_OLD} on Linux with glibc and x86_64; this machine is {platform.system()} {platform.machine()}"
    found = tuple(int(part) for part in version.split(".")[:2])
    return f"{_NEW}, or {_OLD}" if found >= _GLIBC else f"{_OLD}; TFX 1.21 needs glibc 2.39, here it is {version}"


def check_installed(*packages: str) -> None:
    """Import packages of TFX's family.

    Args:
        packages: names of top-level packages, such as "tfx".

    Raises:
        UsageError: one cannot be imported; the line names the combination that works on this machine.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:  # also of a package that it forgot to require
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"{package} cannot be imported by Python {platform.python_version()} ({reason}); what works is "
                f"{works_here()}"
            ) from None
