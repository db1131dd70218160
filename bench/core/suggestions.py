"""Part of a message about bad input: the nearest right name.

Every room may import this file. It imports none of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path


def did_you_mean(name: object, known: Mapping[str, object]) -> str:
    """Return `; did you mean X?` if a known name is close to `name`, otherwise an empty text.

    Args:
        name: what was given.
        known: {right name: how the answer writes it}.

    >>> did_you_mean("loses", {"losses": "runs/losses"}), did_you_mean("zzz", {"losses": "runs/losses"})
    ('; did you mean runs/losses?', '')
    """
    close = difflib.get_close_matches(str(name), sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {known[close[0]]}?" if close else ""


def runs_beside(path: Path) -> list[str]:
    """Return the names of the runs in the folder in which a run was looked for; what else lies there is none."""
    there = path.parent.iterdir() if path.parent.is_dir() else ()
    return sorted(entry.name for entry in there if (entry / "run.json").is_file())


def nearest(name: object, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` if a known name is close to `name`, otherwise the list of known names.

    >>> nearest("dicee", ["dice", "focal"]), nearest("zzz", ["dice", "focal"]), nearest("zzz", [])
    ("; did you mean 'dice'?", '; known: dice, focal', '')
    """
    options = sorted(known)
    if hint := did_you_mean(name, {option: repr(option) for option in options}):
        return hint
    return f"; known: {', '.join(options)}" if options else ""
