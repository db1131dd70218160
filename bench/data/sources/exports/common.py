"""The types that readers of layouts share, and the division of images into splits that a layout does not name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.core import UsageError
from bench.data.sources.classes import Declared
from bench.data.sources.examination import Faults, Pair
from bench.data.sources.mask_codes import MaskCode

Pairs = dict[str, Pair]
_SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip


class Request(NamedTuple):
    """The options with which a folder is read.

    Attributes:
        faults: where faults are added.
        masks: name of the mask folder in the folder layout.
        black_and_white: whether the user declared the masks black and white (`data.mask_values=binary`).
        share: share of the images used for validation, in (0, 1), if the layout has no splits.
        seed: seed of that choice.
    """

    faults: Faults
    masks: str = "masks"
    black_and_white: bool = False
    share: float = 0.2
    seed: int = 0


class Export(NamedTuple):
    """The content of a folder.

    Attributes:
        splits: from split to key to pair.
        known: the class list; None if there is none.
        code: how masks are read. None: by `data.mask_values` and `known`, as in the folder layout.
        notes: notes for the user, one line each.
        kind: name of the layout; empty for the project's own.
    """

    splits: Mapping[str, Mapping[str, Pair]]
    known: Declared | None = None
    code: MaskCode | None = None
    notes: tuple[str, ...] = ()
    kind: str = ""


class Layout(NamedTuple):
    """A layout other than the project's own.

    Attributes:
        name: its name.
        here: returns whether a folder has this layout.
        read: reads such a folder.
    """

    name: str
    here: Callable[[Path], bool]
    read: Callable[[Path, Request], Export]
    wanted: bool = True
    """Whether it can be read. `read` of a layout that cannot be read raises UsageError with the reason."""


def split_name(name: str) -> str | None:
    """Return the split for the name of a folder or list, such as "Train" or "valid"; None if the name is no split."""
    return _SPLITS.get(name.lower())


def divided(root: Path, pairs: Pairs, request: Request) -> tuple[dict[str, Pairs], tuple[str, ...]]:
    """Divide pairs without splits into train and val, and return both with a note.

    The validation images are those with the smallest hashes of seed and key, so adding images changes few of them.

    Raises:
        UsageError: fewer than two pairs.
    """
    if len(pairs) < 2:
        first = f" ({request.faults.found[0]})" if request.faults.found else ""
        raise UsageError(
            f"{root}: images with labels: {len(pairs)}{first}; at least two are needed, to train and to validate"
        )

    def rank(key: str) -> bytes:
        return hashlib.blake2b(f"{request.seed}\0{key}".encode()).digest()

    count = min(len(pairs) - 1, max(1, round(request.share * len(pairs))))
    chosen = set(sorted(pairs, key=rank)[:count])
    note = (
        f"{root}: it has no splits, so {count} of {len(pairs)} images {'is' if count == 1 else 'are'} used for "
        f"validation (chosen by seed {request.seed}); `python -m bench.data split` and `convert` write such a choice "
        "to files, with --val and --seed"
    )
    return {
        "train": {key: pair for key, pair in pairs.items() if key not in chosen},
        "val": {key: pair for key, pair in pairs.items() if key in chosen},
    }, (note,)


def in_splits(root: Path, found: Mapping[str, Pairs], request: Request) -> tuple[dict[str, Pairs], tuple[str, ...]]:
    """Return pairs by split, and notes. `found` maps the name of a folder or list to its pairs.

    If the names include train and val, they decide. Otherwise the pairs are divided, see `divided`; a test split is
    kept if there is a train split, too.

    Raises:
        UsageError: fewer than two pairs to divide.
    """
    splits: dict[str, Pairs] = {}
    for name, pairs in found.items():
        if pairs and (split := split_name(name)):
            splits.setdefault(split, {}).update(pairs)
    if "train" in splits and "val" in splits:
        return {name: splits[name] for name in ("train", "val", "test") if name in splits}, ()
    test = splits.get("test") if "train" in splits else None
    others = {key: pair for name, pairs in found.items() for key, pair in pairs.items() if not test or key not in test}
    parts, notes = divided(root, dict(sorted(others.items())), request)
    return parts | ({"test": test} if test else {}), notes


def json_of(path: Path, data: bytes | None = None) -> Any:
    """Return the content of a JSON file.

    Args:
        data: the bytes of the file, if they have been read already.

    Raises:
        UsageError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes() if data is None else data)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error}); export it again or remove it") from None
