"""The files of a trial of a run in an object store: brought to the machine of an attempt, uploaded while it goes on.

The attempt writes into a local folder, as everywhere. Its record is uploaded last, so a record in the store means that
everything of its trial is there.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import results
from bench.core import ATTEMPTS_FILE, CHECKPOINT_FILE, SPEC_FILE, UsageError
from bench.execution.supervisor import End
from bench.storage import UNSENT, Address, Mirror, StoreError, mirror_of, spooled

Emit = Callable[[dict[str, Any]], None]


class Uploads:
    """Uploads the files of an attempt from a thread, beside the training.

    Args:
        folder: of the trial, below a mirrored folder.
    """

    def __init__(self, folder: Path) -> None:
        found = mirror_of(folder)
        assert found is not None
        self._mirror, self._folder = found, found.folder
        self._wake, self._over = threading.Event(), False
        self._sent: dict[str, tuple[int, int]] = {}
        self._thread = threading.Thread(target=self._work, name=f"uploads of {folder.name}", daemon=True)

    def begin(self) -> None:
        """Bring what earlier attempts left, unless what is here is as new, and start to upload.

        Raises:
            StoreError: the store cannot be read.
        """
        if not _is_as_new(self._mirror):
            keep_only(self._folder, (SPEC_FILE,))
        self._folder.mkdir(parents=True, exist_ok=True)
        names = (CHECKPOINT_FILE, results.LOG, ATTEMPTS_FILE, results.RECORD)
        if not (self._folder / ATTEMPTS_FILE).exists():
            self._mirror.fetch("", lambda name: name in names)
        self._thread.start()

    def wake(self) -> None:
        """Upload what is new of attempts, log and checkpoint, soon."""
        self._wake.set()

    def end(self) -> str | None:
        """Upload everything, the record last; return why that failed, if it did. The files stay here then."""
        self._over = True
        self.wake()
        self._thread.join()
        try:
            send(self._mirror)
        except (StoreError, OSError) as error:
            with contextlib.suppress(OSError):
                (self._folder / UNSENT).write_text(f"{error}\n")
            return str(error)
        return None

    def _work(self) -> None:
        while not self._over:
            self._wake.wait()
            self._wake.clear()
            if self._over:
                return
            try:
                self._send_progress()
            except (StoreError, OSError) as error:  # the end tries again, and tells
                with contextlib.suppress(OSError), open(self._folder / results.LOG, "a") as log:
                    log.write(f"not uploaded yet: {error}\n")

    def _send_progress(self) -> None:
        if overtaken(self._mirror):
            return
        for name in (ATTEMPTS_FILE, results.LOG, CHECKPOINT_FILE):
            with contextlib.suppress(FileNotFoundError):
                state = (self._folder / name).stat()
                if self._sent.get(name) != (state.st_size, state.st_mtime_ns):
                    self._mirror.push(self._folder / name)
                    self._sent[name] = (state.st_size, state.st_mtime_ns)


def overtaken(mirror: Mirror) -> str | None:
    """Return the line of the attempt that has begun on another machine since the last one here; None if there is none.

    Args:
        mirror: of the trial's folder.
    """
    here, known = _attempts(mirror)
    return known[-1] if known and known[-1] not in here else None


def _is_as_new(mirror: Mirror) -> bool:
    """Return whether the trial's folder here may be continued: the store knows of no other attempt than those here."""
    here, known = _attempts(mirror)
    return known[-1] in here if known else not here or (mirror.folder / UNSENT).exists()


def _attempts(mirror: Mirror) -> tuple[list[str], list[str]]:
    """Return the lines of the attempts here, and of those in the store."""
    try:
        here = (mirror.folder / ATTEMPTS_FILE).read_text()
    except OSError:
        here = ""
    return here.splitlines(), (mirror.store.read(ATTEMPTS_FILE) or b"").decode(errors="replace").splitlines()


def keep_only(folder: Path, names: tuple[str, ...]) -> None:
    """Remove everything from a folder but the files of these names."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in names:
            path.unlink()


def send(mirror: Mirror) -> None:
    """Upload all files of a trial, the record last, and remove the checkpoint from the store if it is gone here.

    Args:
        mirror: of the trial's folder.

    Raises:
        StoreError: the store does not take them, or another attempt has begun since on another machine.
    """
    if other := overtaken(mirror):
        raise StoreError(f"{mirror.address}: another attempt has begun since: {other}")
    mirror.push_all()
    if not (mirror.folder / CHECKPOINT_FILE).exists():
        mirror.store.remove(CHECKPOINT_FILE)
    (mirror.folder / UNSENT).unlink(missing_ok=True)


def kept(folder: Path) -> str:
    """Return in words where the files of a folder are, and how they are uploaded again."""
    command = shlex.join(["python", "-m", "bench.upload", str(folder)])
    return f"what was written is kept on {platform.node()}; once that is mended, upload it there: {command}"


def supervised(job: dict[str, Any], run: Callable[[dict[str, Any], Emit], End], emit: Emit) -> End:
    """Run a job whose files belong into a store, from this machine's local folder for them.

    Args:
        job: as plain data; `address` is that of the trial's folder, and other paths are those of the command's machine.
        run: runs a job whose paths are of this machine, as (job, emit).
        emit: gets the events of the job.

    Returns:
        The end; of kind "unsent" if the trial ended and its files could not be uploaded.
    """
    try:
        here = spooled(Address.of(job["address"]))
        job = _moved(job, *_roots(Path(job["payload"]["folder"]), here))
        for code in map(Path, job["payload"].get("code", ())):
            if (found := mirror_of(code)) and not code.is_dir():
                found.fetch()
        uploads = Uploads(here)
        uploads.begin()
    except (UsageError, OSError) as error:
        return End("raised", str(error))

    def emitted(event: dict[str, Any]) -> None:
        if event.get("event") == "epoch":
            uploads.wake()
        emit(event)

    end = run(job, emitted)
    if failed := uploads.end():
        return End("unsent", f"{failed}; {kept(here)}")
    return end


def _roots(there: Path, here: Path) -> tuple[str, str]:
    """Return two folders without the parts at their end that they have in common."""
    while there.name and there.name == here.name:
        there, here = there.parent, here.parent
    return str(there), str(here)


def _moved(value: Any, before: str, after: str) -> Any:
    """Return plain data with the paths below one folder changed into those below another."""
    if isinstance(value, dict):
        return {key: _moved(one, before, after) for key, one in value.items()}
    if isinstance(value, list):
        return [_moved(one, before, after) for one in value]
    below = isinstance(value, str) and value.startswith(before.rstrip(os.sep) + os.sep)
    return after.rstrip(os.sep) + value[len(before.rstrip(os.sep)) :] if below else value


def unsent(mirror: Mirror, there: set[str]) -> Iterator[Mirror]:
    """Yield the folders of trials of a run that have a record here and none in the store.

    Args:
        mirror: of the run.
        there: names of the objects of the run.
    """
    for record in sorted(mirror.folder.glob(f"**/trials/*/{results.RECORD}")):
        if mirror.name(record) not in there and "replaced" not in record.parts and (one := mirror_of(record.parent)):
            yield one


def send_folder(mirror: Mirror) -> list[str]:
    """Upload the local folder of a trial or of a run, and return a line per part of it.

    Args:
        mirror: of that folder.

    Raises:
        StoreError: the store does not take it.
    """
    if mirror.folder.parent.name == "trials":
        send(mirror)
        return [f"{mirror.address}: uploaded"]
    told = []
    for trial in sorted(path for path in mirror.folder.glob("**/trials/*") if path.is_dir()):
        if (one := mirror_of(trial)) and "replaced" not in trial.parts:
            try:
                send(one)
            except StoreError as error:
                if "another attempt" not in str(error):
                    raise
                told.append(str(error))
    mirror.push_all(skip=("trials",))
    return [*told, f"{mirror.address}: uploaded"]
