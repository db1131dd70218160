"""The folder of a site: whose it is, and how it is replaced as a whole."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import results

MARKER = "site.json"
"""File that makes a folder ours: it lists all files of the site."""


def check_folder(folder: Path) -> Path:
    """Return the folder that a site may be written to.

    It must not exist, be empty, or hold a site and nothing else.

    Raises:
        ValueError: something else is there; one line.
    """
    folder = Path(os.path.realpath(folder))
    if results.release_of(folder) or folder == results.releases_folder():
        raise ValueError(f"{folder}: a published release never changes; name another folder")
    if not folder.exists():
        return folder
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; name another one")
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}
    foreign = sorted(held - _own(folder / MARKER))
    if foreign:
        raise ValueError(f"{folder}: holds {foreign[0]}, which is no part of a site; name another folder or empty it")
    return folder


def _own(marker: Path) -> set[str]:
    """Return the files of the site that a marker lists; none if it is not there or not a marker."""
    try:
        listed = json.loads(marker.read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {MARKER, *map(str, listed)}


def write_folder(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write all files of a site, each from bytes or as a copy of a file, and replace an earlier site as a whole.

    They are written to a folder beside it, which then takes its place. If that fails, the earlier site is still there.

    Args:
        folder: as `check_folder` returned it.
        files: {place in the folder: content}.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft, old = (folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.{kind}") for kind in ("tmp", "old"))
    marker = json.dumps({"made by": "python -m bench.site", "files": sorted(files)}, indent=1, ensure_ascii=False)
    try:
        for name, content in {**files, MARKER: f"{marker}\n".encode()}.items():
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, target)
            else:
                target.write_bytes(content)
        os.sync()  # a rename must not reach the disk before the files
        _replace(folder, draft, old)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _replace(folder: Path, draft: Path, old: Path) -> None:
    if folder.exists():
        folder.rename(old)
    try:
        draft.rename(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            old.rename(folder)
        raise
