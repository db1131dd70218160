"""A separate folder for the Ray of a run. By itself Ray uses one place, whatever its length, owner and free space."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.core import UsageError

SOCKET_BYTES = 107
"""Longest path of a Unix socket on Linux, in bytes; see unix(7)."""
_SOCKET = "/session_2000-01-01_00-00-00_000000_1234567/sockets/plasma_store"
"""Longest path that Ray makes below its folder; the last number is a process id."""
_PREFIX, _INSIDE, _RANDOM = "ray-", "r", 8
MOST_BYTES = SOCKET_BYTES - len(_SOCKET) - len(f"/{_PREFIX}/{_INSIDE}") - _RANDOM
"""Longest path of a place in which the folder can be made, in bytes."""
_ROOM = 1 << 16
SHARED_MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a new folder for Ray, which no other user can enter, and remove it at the end.

    It is made in the first of these places that is writable, has free space, and whose path is short enough for
    sockets: $RAY_TMPDIR, the system's temporary folder ($TMPDIR), /tmp, /var/tmp, $XDG_RUNTIME_DIR, /dev/shm. The
    folder is kept if the block ends with `KeepFolder`.

    Raises:
        UsageError: there is no such place.
    """
    made, keep = _made(), False
    try:
        yield made / _INSIDE  # Ray makes its own folder accessible to everybody
    except KeepFolder:
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def temporary(prefix: str) -> Iterator[str]:
    """Make a folder in the system's temporary folder, and remove it at the end.

    Raises:
        UsageError: there is no temporary folder.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise UsageError(f"no temporary folder: {error.strerror}; set TMPDIR to a writable one") from None
    with made as path:
        yield path


class KeepFolder(UsageError):
    """A refusal whose reasons may be found in the files of the folder."""


def shared_memory() -> bool:
    """Return whether /dev/shm is writable. Ray shares memory there, and fails at its start if it cannot."""
    return os.access(SHARED_MEMORY, os.W_OK)


def _made() -> Path:
    """Make a folder in the first usable place and return it.

    Raises:
        UsageError: there is no usable place; the message says why for each.
    """
    tried = []
    for place in _places():
        if len(os.fsencode(place)) > MOST_BYTES:
            tried.append(f"{place} is longer than {MOST_BYTES} bytes")
            continue
        try:
            return _new(place)
        except OSError as error:
            tried.append(f"{place}: {error.strerror}")
    raise UsageError(
        f"no place for the files of Ray ({'; '.join(tried)}); set RAY_TMPDIR to a writable folder whose path has at "
        f"most {MOST_BYTES} bytes"
    )


def _new(place: Path) -> Path:
    """Make a folder in this place, with free space, and return it.

    Raises:
        OSError: it cannot be made, or there is no space.
    """
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    try:
        with open(made / "room", "wb") as file:
            file.write(bytes(_ROOM))
        (made / "room").unlink()
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return made


def _places() -> list[Path]:
    """Return the places for the folder, the preferred one first."""
    named = [os.environ.get("RAY_TMPDIR")]
    with contextlib.suppress(FileNotFoundError):  # Python finds no usable temporary folder
        named.append(tempfile.gettempdir())
    named += ["/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR"), str(SHARED_MEMORY)]
    return list(dict.fromkeys(Path(os.path.abspath(name)) for name in named if name))
