"""Records on disk: atomic writing, reading with one-line errors, and the layout of run folders.

A run folder holds `run.json` (the manifest) and `trials/TRIAL_ID/record.json` with the artefacts of each trial.
"""

import contextlib
import glob
import hashlib
import json
import os
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, StrictInt, ValidationError

from bench.core.faults import first_fault
from bench.core.suggestions import did_you_mean
from results.record import Artefact, ArtefactKind, Record, migrate

RECORD = "record.json"
MANIFEST = "run.json"
GRID = "grid.yaml"
TRIALS = "trials"
LOG = "log.txt"
SUMS = "SHA256SUMS"
MANIFEST_VERSION = 1
"""Of `run.json`."""

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Stored:
    """A record and the trial folder it was read from."""

    folder: Path
    record: Record


@dataclass(frozen=True)
class Run:
    """The contents of a run folder.

    Attributes:
        folder: the run folder.
        manifest: the manifest, an empty dict if there is none.
        trials: the records, in the order of their trial ids.
        problems: one line per record that cannot be read.
    """

    folder: Path
    manifest: dict[str, Any]
    trials: list[Stored]
    problems: list[str] = field(default_factory=list)


@contextlib.contextmanager
def writing(path: StrPath) -> Iterator[BinaryIO]:
    """Open a file to write such that readers see all the old bytes or all the new ones, even after a crash.

    The bytes go to a temporary file `.NAME.*.tmp` in the same folder, whose name is unique over all processes and
    machines. If the block ends without an exception, they are flushed to the disk and the file is renamed to `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_bytes(path: StrPath, data: bytes) -> Path:
    """Write a whole file by `writing`, and return its path."""
    with writing(path) as file:
        file.write(data)
    return Path(path)


def write(folder: StrPath, record: Record) -> Path:
    """Write `record.json` into the trial folder (made if missing), atomically, and return its path."""
    parts = record.model_dump(mode="json").items()
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}" for key, value in parts)
    return write_bytes(Path(folder) / RECORD, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read(path: StrPath) -> Record:
    """Read the record in a `record.json` or in a trial folder.

    Raises:
        ValueError: it cannot be read; one line names the file and the reason.
    """
    path = Path(path)
    path = path / RECORD if path.is_dir() else path
    try:
        return Record.model_validate(migrate(_read_object(path)))
    except ValidationError as error:
        fault = first_fault(error)
        where = ".".join(part for part in fault.path if "[" not in part) or "record"  # without the types of a union
        more = f" (and {fault.others} more)" if fault.others else ""
        raise ValueError(f"{path}: {where}: {fault.message}{more}") from None
    except ValueError as error:
        raise ValueError(error if str(error).startswith(f"{path}: ") else f"{path}: {error}") from None


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON, or cut off: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path}: a JSON object is expected, found {type(data).__name__}")
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class _PlannedCell(BaseModel):
    """A cell of a manifest, as far as every reader relies on it; older manifests lack `replicas` and `hosts`."""

    cell: str
    label: str = ""
    seeds: list[StrictInt] = []
    replicas: StrictInt | None = None
    hosts: StrictInt | None = None


class _Manifest(BaseModel):
    """A manifest, as far as every reader relies on it; `runs` is that of a release."""

    schema_version: StrictInt = MANIFEST_VERSION
    cells: list[_PlannedCell] = []
    runs: list[str] = []


def read_manifest(run: StrPath) -> dict[str, Any]:
    """Read the manifest `run.json` of a run folder as plain data; an empty dict if there is none.

    Raises:
        ValueError: it is there and cannot be read, has another form, or is of a newer version; one line.
    """
    path = Path(run) / MANIFEST
    if not os.path.lexists(path):  # a broken link is a fault, and no absence
        return {}
    data = _read_object(path)
    try:
        version = _Manifest.model_validate(data).schema_version
    except ValidationError as error:
        raise ValueError(f"{path}: {first_fault(error).told}; restore the file") from None
    if version > MANIFEST_VERSION:
        raise ValueError(
            f"{path}: schema version {version} is newer than this software knows ({MANIFEST_VERSION}); "
            "read it with the release that wrote it"
        )
    return data


def grid_head(run: StrPath) -> dict[str, Any]:
    """Read what `grid.yaml` of a run folder says before its cells: name, description, preset, seeds, search.

    The dict is empty if the file is missing or cannot be read, because a report does without it. The cells are not
    parsed, because they are long and the records have them.
    """
    import yaml

    with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        head = yaml.safe_load((Path(run) / GRID).read_text().partition("\ncells:")[0])
        return head if isinstance(head, dict) else {}
    return {}


def releases_folder(make: bool = False) -> Path:
    """Return `results/releases` of the working tree that holds the current folder.

    Elsewhere, it is the folder beside this package, which can be read, but is not written.

    Raises:
        ValueError: with `make`, if the current folder is in no working tree of this project.
    """
    here = Path.cwd()
    for root in (here, *here.parents):
        if (root / "results" / "releases").is_dir() or (root / "results" / "record.py").is_file():
            return root / "results" / "releases"
    if make:
        raise ValueError(f"{here}: releases are kept in the project's working tree; start from there")
    return Path(__file__).resolve().parent / "releases"


def release_of(folder: StrPath) -> Path | None:
    """Return the published release that a folder is or lies in, None if there is none."""
    folder = Path(folder).resolve()
    return next((one for one in (folder, folder.parent) if (one / SUMS).is_file()), None)


def refuse_release(folder: StrPath) -> None:
    """Refuse to write into a folder that is a published release or lies in one.

    Raises:
        ValueError: it is or does; one line.
    """
    if release_of(folder):
        raise ValueError(f"{folder}: a published release never changes")


def locate(path: StrPath) -> Path:
    """Return the path, or, if it does not exist, the folder of the published release of that name if there is one."""
    release = releases_folder() / str(path)
    return release if not Path(path).exists() and release_of(release) else Path(path)


def find(path: StrPath | Sequence[StrPath]) -> list[Path]:
    """Return the record files of a run folder, a release, a trial folder, a record file, a glob, or several of these.

    Each file is listed once, in the order given; the files of one path are sorted.

    Raises:
        ValueError: one of the paths leads to no record.
    """
    if isinstance(path, str | os.PathLike):
        return _find_one(path)
    return list(dict.fromkeys(file for one in path for file in _find_one(one)))


def _find_one(path: StrPath) -> list[Path]:
    root = locate(path)
    if root.is_file():
        return [root]
    if (root / RECORD).is_file():
        return [root / RECORD]
    if root.is_dir():
        # Trial folders alone (`trials/`), one run, or a folder of runs; the nearest level wins.
        for pattern in (f"{TRIALS}/*/{RECORD}", f"*/{RECORD}", f"*/{TRIALS}/*/{RECORD}"):
            if files := sorted(root.glob(pattern)):
                return files
        raise ValueError(f"{path}: there is no record of a trial")
    if glob.has_magic(str(path)):
        if matches := sorted(glob.glob(str(path), recursive=True)):
            return find(matches)
        raise ValueError(f"{path}: nothing matches")
    if root.is_symlink():
        raise ValueError(f"{path}: a link to what is not there")
    siblings = {entry.name: entry for entry in root.parent.iterdir()} if root.parent.is_dir() else {}
    if releases_folder().is_dir():
        siblings |= {entry.name: Path(entry.name) for entry in releases_folder().iterdir() if release_of(entry)}
    raise ValueError(f"{path}: no such file or folder, nor a release{did_you_mean(root.name, siblings)}")


def iterate(path: StrPath | Sequence[StrPath]) -> Iterator[Stored]:
    """Yield the records of `path` (see `find`), one at a time.

    Raises:
        ValueError: at the first record that cannot be read, or is a copy beside its original.
    """
    for file in find(path):
        yield Stored(file.parent, read_in_place(file))


def read_in_place(path: StrPath) -> Record:
    """Read a record of a run, which may not be a copy beside its original: it would count as a further trial.

    Raises:
        ValueError: it cannot be read, or is such a copy; one line.
    """
    path = Path(path)
    record = read(path)
    folder = path if path.is_dir() else path.parent
    among = folder.parent
    if among.name == TRIALS and folder.name != record.trial and (among / record.trial / RECORD).is_file():
        raise ValueError(f"{folder / RECORD}: a copy of the trial {record.trial}, which is there too; remove {folder}")
    return record


def read_run(folder: StrPath) -> Run:
    """Read a run folder; a record that cannot be read becomes a line of `problems`, and the others are still read.

    Raises:
        ValueError: the folder holds no record, or none that can be read.
    """
    trials, problems = [], []
    for file in find(folder):
        try:
            trials.append(Stored(file.parent, read_in_place(file)))
        except ValueError as error:
            problems.append(str(error))
    if not trials:
        raise ValueError(f"{folder}: none of its {len(problems)} records can be read; the first: {problems[0]}")
    folder = locate(folder)
    return _by_width(Run(folder, read_manifest(folder), trials, problems))


def _by_width(run: Run) -> Run:
    """Split every cell with several numbers of replicas or hosts into one cell per label, named `CELL LABEL`.

    A cell is the same on any number of devices, so that runs on different machines can be compared. But in a run that
    varies the number, as the grid `scaling` does, the speeds of a cell belong to different settings.
    """
    widths: dict[str, set[tuple[int, int]]] = {}
    for cell in run.manifest.get("cells", []):
        if "replicas" in cell:  # older manifests lack it
            widths.setdefault(cell["cell"], set()).add((cell["replicas"], cell.get("hosts", 1)))
    for stored in run.trials:
        widths.setdefault(stored.record.cell, set()).add((stored.record.replicas or 1, stored.record.hosts))
    return with_labels(run, {cell for cell, found in widths.items() if len(found) > 1})


def with_labels(run: Run, several: Collection[str]) -> Run:
    """Return the run with each of these cells split into one cell per label."""
    if not several:
        return run
    cells = [
        {**cell, "cell": f"{cell['cell']} {cell.get('label', '')}"} if cell["cell"] in several else cell
        for cell in run.manifest.get("cells", [])
    ]
    trials = [
        replace(stored, record=stored.record.model_copy(update={"cell": f"{stored.record.cell} {stored.record.label}"}))
        if stored.record.cell in several
        else stored
        for stored in run.trials
    ]
    return replace(run, manifest={**run.manifest, "cells": cells}, trials=trials)


def missing(run: Run) -> list[tuple[str, str, int]]:
    """List the planned trials that left no record as (cell, label, seed), in the order of the plan."""
    present = {(one.record.cell, one.record.seed) for one in run.trials}
    return [
        (cell["cell"], str(cell.get("label", cell["cell"])), int(seed))
        for cell in run.manifest.get("cells", [])
        for seed in cell.get("seeds", [])
        if (cell["cell"], seed) not in present
    ]


def failed(run: Run) -> list[Record]:
    """List the records of trials that did not end well.

    A trial that ran out of memory and then ended well with a smaller batch (`--on-oom shrink`) does not count as
    failed, just as in the run.
    """
    well = [one.record.trial for one in run.trials if one.record.status == "ok"]
    return [
        record
        for record in (one.record for one in run.trials)
        if record.status != "ok"
        and not (record.status == "oom" and any(name.startswith(f"{record.trial}-batch") for name in well))
    ]


def sha256(path: StrPath) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def artefact(
    folder: StrPath,
    path: StrPath,
    kind: ArtefactKind,
    meta: Mapping[str, Any] | None = None,
) -> Artefact:
    """Describe a file in the trial folder, with its digest; `path` is absolute or relative to `folder`."""
    file = Path(folder) / path
    return Artefact(kind=kind, path=file.relative_to(folder).as_posix(), sha256=sha256(file), meta=dict(meta or {}))


def artefact_path(trial: Stored, artefact: Artefact) -> Path:
    """Return the file of an artefact after checking its digest.

    Raises:
        ValueError: it is missing, or it was changed after the trial wrote it.
    """
    path = trial.folder / artefact.path
    if not path.is_file():
        raise ValueError(f"{path}: the {artefact.kind} of trial {trial.record.trial} is missing")
    if sha256(path) != artefact.sha256:
        raise ValueError(
            f"{path}: the {artefact.kind} of trial {trial.record.trial} was changed after the trial wrote it"
        )
    return path
