"""A folder of its own for the Ray of a run. Ray itself knows one place alone, whatever its length, owner and room."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.core import UsageError

SOCKET_BYTES = 107
"""The longest path of a Unix socket on Linux; see unix(7)."""
_SOCKET = "/session_2000-01-01_00-00-00_000000_1234567/sockets/plasma_store"
"""The longest path that Ray makes under the folder that it is given; the last number is a process id."""
_PREFIX, _INSIDE, _RANDOM = "ray-", "r", 8
MOST_BYTES = SOCKET_BYTES - len(_SOCKET) - len(f"/{_PREFIX}/{_INSIDE}") - _RANDOM
"""The longest path of a place in which the folder can be made."""
_ROOM = 1 << 16
SHARED_MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a new folder for Ray, which no other user can enter, and remove it at the end.

    It lies in the first place that is writable, has room, and is short enough for the paths of sockets: $RAY_TMPDIR,
    the system's temporary folder ($TMPDIR), /tmp, /var/tmp, $XDG_RUNTIME_DIR, /dev/shm. What lies in it stays when the
    block ends with `KeepFolder`.

    Raises:
        UsageError: there is no such place.
    """
    made, keep = _made(), False
    try:
        yield made / _INSIDE  # Ray opens to everybody what it is given
    except KeepFolder:
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def temporary(prefix: str) -> Iterator[str]:
    """Make a folder in the system's temporary one, and remove it at the end.

    Raises:
        UsageError: there is none.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise UsageError(f"no temporary folder: {error.strerror}; set TMPDIR to a writable one") from None
    with made as path:
        yield path


class KeepFolder(UsageError):
    """A refusal whose reasons may stand in the files of the folder."""


def shared_memory() -> bool:
    """Whether files can be written where Ray keeps what its processes share; where not, Ray dies at its start."""
    return os.access(SHARED_MEMORY, os.W_OK)


def _made() -> Path:
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
    """A new folder that can be written, in this place; OSError when not."""
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
    named = [os.environ.get("RAY_TMPDIR")]
    with contextlib.suppress(FileNotFoundError):  # Python's own list is looked through in vain
        named.append(tempfile.gettempdir())
    named += ["/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR"), str(SHARED_MEMORY)]
    return list(dict.fromkeys(Path(os.path.abspath(name)) for name in named if name))
