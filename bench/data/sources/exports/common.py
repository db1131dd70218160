"""What a reader of a layout gives, and how pictures come into splits that the layout does not name."""

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
    """What is asked for.

    Attributes:
        masks: the mask folder of the folder layout.
        black_and_white: whether the user says that masks are (`data.mask_values=binary`).
        share: of the pictures, for validation, where the layout has no splits.
        seed: of that choice.
    """

    faults: Faults
    masks: str = "masks"
    black_and_white: bool = False
    share: float = 0.2
    seed: int = 0


class Export(NamedTuple):
    """What lies in a folder.

    Attributes:
        code: how masks are read; None as those of the folder layout are, by `data.mask_values` and `known`.
        known: the class list.
        kind: the layout's name; empty for the project's own.
    """

    splits: Mapping[str, Mapping[str, Pair]]
    known: Declared | None = None
    code: MaskCode | None = None
    notes: tuple[str, ...] = ()
    kind: str = ""


class Layout(NamedTuple):
    """A layout: its name (empty for the project's own), how it is told from others, and its reader."""

    name: str
    here: Callable[[Path], bool]
    read: Callable[[Path, Request], Export]
    wanted: bool = True
    """Whether it can be read; what is known but cannot is refused with the reason."""


def split_name(name: str) -> str | None:
    """The split that a folder or list of this name is: "Train", "valid", "validation", ...; None of others."""
    return _SPLITS.get(name.lower())


def divided(root: Path, pairs: Pairs, request: Request) -> tuple[dict[str, Pairs], tuple[str, ...]]:
    """Pictures without splits: a share validates, chosen by a hash of seed and key.

    More pictures change that choice little.

    Raises:
        UsageError: fewer than two pictures.
    """
    if len(pairs) < 2:
        raise UsageError(f"{root}: pictures with labels: {len(pairs)}; it takes two, one to train, one to validate")

    def rank(key: str) -> bytes:
        return hashlib.blake2b(f"{request.seed}\0{key}".encode()).digest()

    count = min(len(pairs) - 1, max(1, round(request.share * len(pairs))))
    chosen = set(sorted(pairs, key=rank)[:count])
    note = (
        f"{root}: it has no splits, so {count} of {len(pairs)} pictures validate (chosen by seed {request.seed}); "
        "`python -m bench.data convert` writes such a choice down, with --val and --seed"
    )
    return {
        "train": {key: pair for key, pair in pairs.items() if key not in chosen},
        "val": {key: pair for key, pair in pairs.items() if key in chosen},
    }, (note,)


def in_splits(root: Path, found: Mapping[str, Pairs], request: Request) -> tuple[dict[str, Pairs], tuple[str, ...]]:
    """Pictures by what their folder or list is called: as it says where there are train and val, else divided."""
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
    """What a JSON file holds.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes() if data is None else data)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error}); export it again or remove it") from None
