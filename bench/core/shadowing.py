"""The suite's own packages with generic names are found, whatever else bears these names.

`python -m bench.run` puts the working directory first on the path of imports, and many projects have a folder `models`
or `losses`. Without a rule of its own, Python would import theirs in place of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HOME = Path(__file__).resolve().parents[2]
SIBLINGS = ("losses", "models", "results", "reports")


class _Siblings(MetaPathFinder):
    """Finds the packages beside `bench`, before the path of imports is searched."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [str(HOME)]) if fullname in SIBLINGS else None


def claim_packages() -> None:
    """Make `import models` and the like mean the packages beside `bench`, in this process."""
    if not any(isinstance(finder, _Siblings) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Siblings())


def shadows() -> list[Path]:
    """Return what Python would import from the working directory in place of the suite's packages."""
    here = Path.cwd()
    if here.resolve() == HOME or not {"", str(here)} & set(sys.path):
        return []
    found = (path for name in SIBLINGS for path in (here / name / "__init__.py", here / f"{name}.py"))
    return [path.parent if path.name == "__init__.py" else path for path in found if path.is_file()]
