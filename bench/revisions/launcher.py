"""`python -P launcher.py CHECKOUT MODULE [ARGUMENT ...]`: run a module of a checkout as `python -m MODULE` would.

The environment may hold an editable installation of another copy of the project. So the packages of the project are
taken from the checkout or not at all. The process ends with the one that started it. This file imports nothing of the
project, because that would be the wrong copy.
"""

import ctypes
import importlib.abc
import importlib.machinery
import runpy
import signal
import sys

PACKAGES = ("bench", "losses", "models", "results", "reports")


class OnlyFrom(importlib.abc.MetaPathFinder):
    """Finds the packages of the project in one folder, and refuses them elsewhere."""

    def __init__(self, folder):
        self._folder = folder

    def find_spec(self, name, path=None, target=None):
        """Return where a package of the project lies; None for any other module.

        Raises:
            ModuleNotFoundError: the checkout lacks the package.
        """
        if name not in PACKAGES:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, [self._folder])
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r} in {self._folder}", name=name)
        return found


if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    _, checkout, module, *arguments = sys.argv
    sys.meta_path.insert(0, OnlyFrom(checkout))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
