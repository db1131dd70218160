"""A run's folder: its plan, its records, and the lock of its writer."""

from __future__ import annotations

import fcntl
import json
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import yaml
from pydantic import ValidationError

import results
from bench.core import ATTEMPTS_FILE, StorageLost, UsageError, nearest, own_code, runs_beside
from bench.execution import uploads
from bench.plan import Cell, Grid, Plan, Search
from bench.spec import TrialSpec, parse
from bench.storage import Mirror, Store, StoreError, is_address, is_large, mirror_of, shown

SEARCH = "search"
"""Folder of the trials of a run's search, inside the run's folder."""


class RunFolder:
    """`runs/NAME`: run.json, grid.yaml, environment.json, trials/, tables/ and report/. One writer at a time.

    `code/` is there if the run trains with code of the user's own. The folder of a run in an object store is a local
    one, `mirror` says which; whatever is written here is uploaded at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mirror: Mirror | None = mirror_of(path)
        self._gone = False
        self._lock: TextIO | None = None
        self._had: set[tuple[str, int, int | None, int]] | None = None

    @classmethod
    def create(
        cls,
        out: Path,
        name: str,
        manifest: Mapping[str, Any],
        plan: Plan,
        environment: Mapping[str, Any],
        address: str | None = None,
    ) -> RunFolder:
        """Make the folder of a new run and lock it.

        Args:
            out: folder of runs.
            name: of the run.
            manifest: what run.json holds besides the cells.
            plan: the cells and seeds to run.
            environment: of this machine.
            address: of the Ray cluster, for the command that an error names.

        Raises:
            UsageError: the name is taken or invalid, or the folder of runs is not writable.
        """
        writable(out, name, address)
        path = out / name
        try:
            path.mkdir(parents=True)
            (path / "trials").mkdir()
        except OSError as error:
            raise UsageError(f"--out {shown(out)}: cannot write there: {error.strerror}") from None
        run = cls(path)
        run._acquire()
        run._keep_code(plan)
        run._write("run.json", json.dumps({**manifest, "cells": _cells(plan)}, indent=2) + "\n")
        run._write("grid.yaml", yaml.safe_dump(_resolved(plan), sort_keys=False))
        run._write("environment.json", json.dumps(dict(environment), indent=2) + "\n")
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing run and lock it.

        Raises:
            UsageError: there is no run, or another process is writing it.
        """
        run = cls(path)
        if run.mirror:
            return run._brought(run.mirror)
        if not (path / "run.json").is_file():
            raise UsageError(f"--resume {path}: no run there{nearest(path.name, runs_beside(path))}")
        if results.release_of(path):
            raise UsageError(f"--resume {path}: a published release never changes; name a run of your own")
        run._acquire()
        return run

    def _brought(self, mirror: Mirror) -> RunFolder:
        """Lock the local folder of a run in a store, upload what is complete here only, and bring the rest.

        Raises:
            UsageError: there is no run, or the store is not usable.
        """
        mirror.check_writable()
        try:
            there = set(mirror.store.listed())
            if "run.json" not in there:
                known = Store(mirror.address.parent).folders()
                raise UsageError(f"--resume {mirror.address}: no run there{nearest(self.path.name, known)}")
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            for trial in uploads.unsent(mirror, there):
                if uploads.overtaken(trial):
                    (trial.folder / results.RECORD).unlink()
                else:
                    uploads.send(trial)
            mirror.fetch("", _for_command)
        except OSError as error:
            raise UsageError(f"--resume {mirror.address}: {error.strerror or error}") from None
        return self

    def _acquire(self) -> None:
        """Lock the run until this process ends.

        Raises:
            UsageError: another process holds the lock, or the folder is not writable.
        """
        try:
            self._lock = open(self.path / ".lock", "a+")  # noqa: SIM115  (held until the process ends)
        except OSError as error:
            raise UsageError(f"run {self.place}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"run {self.place} is being written by another process; wait for it or choose another --name"
            ) from None
        except OSError:
            pass  # a shared file system without locks, where another writer cannot be detected

    @property
    def place(self) -> str:
        """Where the run is, as commands take it: its path, or its address in an object store."""
        return shown(self.path)

    def _write(self, name: str, text: str) -> None:
        try:
            self.keep(results.write_bytes(self.path / name, text.encode()))
        except OSError as error:
            raise self.lost(error) from error

    def keep(self, *files: Path) -> None:
        """Upload files of the run that were written, if it is in an object store.

        Raises:
            StoreError: the store does not take one.
        """
        if self.mirror and not self._gone:
            self.mirror.push(*files)

    def keep_all(self) -> None:
        """Upload everything but the trials: tables, report, code. Nothing is tried once the store was lost.

        Raises:
            StorageLost: the store does not take it.
        """
        if self.mirror and not self._gone:
            try:
                self.mirror.settle()
                self.mirror.push_all(last=("run.json",), skip=("trials",))
            except OSError as error:
                raise self.lost(error) from error

    def bring(self, name: str) -> None:
        """Bring what a trial wrote on another machine, except for its weights, if the run is in an object store.

        Raises:
            StorageLost: the store does not give it.
        """
        if self.mirror and not self._gone:
            try:
                self.mirror.fetch(f"trials/{name}", _for_command)
            except OSError as error:
                raise self.lost(error) from error

    def lost(self, error: OSError) -> StorageLost:
        """Return the error that ends a run whose folder can no longer be written."""
        if isinstance(error, StoreError):
            return self.unsent(f"{error.strerror}; {uploads.kept(self.path)}")
        return StorageLost(f"{self.path}: can no longer be written: {error.strerror}")

    def unsent(self, message: str) -> StorageLost:
        """Return the error that ends a run whose object store takes no more. Nothing is uploaded after it."""
        self._gone = True
        return StorageLost(message)

    def manifest(self) -> dict[str, Any]:
        """Return the content of run.json.

        Raises:
            UsageError: it cannot be read.
        """
        try:
            return results.read_manifest(self.path)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def begin(self) -> None:
        """Write into the manifest that the run goes on, also if it had ended before."""
        if self.manifest().get("status") != "running":
            self.finish("running")

    def finish(self, status: str) -> None:
        """Write the status of the run into its manifest: "complete", "incomplete" or "interrupted"."""
        self._write("run.json", json.dumps({**self.manifest(), "status": status}, indent=2) + "\n")

    def grid(self) -> Grid:
        """Return the grid as it was resolved when the run began, or when it last grew.

        Raises:
            UsageError: it cannot be read, or a cell has another hash in this version of the software.
        """
        path = self.path / "grid.yaml"
        try:
            values = yaml.safe_load(path.read_text())
            cells = [
                Cell(entry["label"], entry["axes"], parse(entry["spec"], f"{path}: cell {entry['label']!r}"))
                for entry in values["cells"]
            ]
            stored = [entry["cell"] for entry in values["cells"]]
            grid = Grid(
                values["name"],
                values["description"],
                values["preset"],
                values["seeds"],
                tuple(cells),
                Search.model_validate(values["search"]) if values.get("search") else None,
            )
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
            raise UsageError(f"{path}: not the resolved grid of a run: {error!r}") from None
        for before, cell in zip(stored, cells, strict=True):
            if cell.spec.cell != before:
                raise UsageError(f"{path}: another version of the software made cell {cell.label!r}; start a new run")
        return grid

    def records(self) -> list[results.Record]:
        """Return the readable records, without those that name another folder than their own."""
        found = []
        for path in sorted((self.path / "trials").glob("*")):
            try:
                record = results.read(path)
            except ValueError:
                continue
            found += [record] if record.trial == path.name else []
        return found

    def complete(self) -> list[results.Record]:
        """Return the records of complete trials."""
        return [record for record in self.records() if record.status == "ok"]

    def has(self, spec: TrialSpec) -> bool:
        """Return whether a complete trial, of any name, has this cell and seed, and as many replicas and hosts."""
        if self._had is None:
            self._had = {(record.cell, record.seed, record.replicas, record.hosts) for record in self.complete()}
        return (spec.cell, spec.seed, spec.placement.replicas, spec.placement.hosts) in self._had

    def set_aside(self, names: Iterable[str]) -> None:
        """Move the folders of trials into `replaced/TIME/`, so that the trials are redone."""
        folder = self.path / "replaced" / datetime.now().strftime("%Y%m%d-%H%M%S")
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            if self.mirror:
                self.mirror.fetch(f"trials/{name}")
            self.trial(name).rename(folder / name)
            if self.mirror:
                self._set_aside(self.mirror, name, folder / name)
        self._had = None

    def _set_aside(self, mirror: Mirror, name: str, folder: Path) -> None:
        """Write a trial that was moved here to its new place in the store, and remove it from the old one."""
        mirror.push_all(mirror.name(folder))
        there = mirror.store.listed(f"trials/{name}")
        for one in sorted(there, key=lambda one: not one.endswith(f"/{results.RECORD}")):
            mirror.store.remove(one)

    def moves(self) -> dict[str, str]:
        """Return the present folder of each data folder that was moved, by the planned one."""
        return dict(self.manifest().get("moved", {}))

    def regrid(
        self, plan: Plan, given: Mapping[str, Any], address: str | None = None, moves: Mapping[str, str] | None = None
    ) -> None:
        """Replace the plan of the run with one that has grown or whose data moved, and extend the run's command.

        Args:
            plan: the new plan.
            given: the options by which it grew or moved, by name.
            address: of the Ray cluster.
            moves: the present folder of each data folder that was moved.
        """
        self._keep_code(plan)
        self._write("grid.yaml", yaml.safe_dump(_resolved(plan), sort_keys=False))
        manifest = self.manifest()
        grown = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        manifest["command"] = f"{manifest.get('command', '')} && {resume_command(self.path, address, *grown)}"
        if moves:
            manifest["moved"] = dict(moves)
        self._write("run.json", json.dumps({**manifest, "cells": _cells(plan)}, indent=2) + "\n")

    def recell(self, plan: Plan) -> None:
        """Write the cells of a plan into the manifest."""
        self._write("run.json", json.dumps({**self.manifest(), "cells": _cells(plan)}, indent=2) + "\n")

    @property
    def code(self) -> Path:
        """The folder in which the run keeps the user's own code, by hash. The trials of its search use it, too."""
        return (self.path if (self.path / "run.json").exists() else self.path.parent) / "code"

    def _keep_code(self, plan: Plan) -> None:
        """Copy the user's own code, so that every trial on every node runs what was planned."""
        for cell in plan.grid.cells:
            for name, digest in cell.spec.own_code.items():
                try:
                    own_code.keep(name, digest, self.path / "code")
                    if self.mirror:
                        self.mirror.push_all("code")
                except OSError as error:
                    raise self.lost(error) from error

    def asked_for(self, seeds: Mapping[str, list[int]]) -> None:
        """Write into the manifest which seeds of each cell were asked for, in a run that decides which come next."""
        manifest = self.manifest()
        cells = [{**cell, "seeds": seeds.get(cell["cell"], [])} for cell in manifest["cells"]]
        if cells != manifest["cells"]:
            self._write("run.json", json.dumps({**manifest, "cells": cells}, indent=2) + "\n")

    def amend(self, part: Mapping[str, Any]) -> None:
        """Write a part of the manifest in place of what it held under these keys."""
        manifest = self.manifest()
        if any(manifest.get(key) != value for key, value in part.items()):
            self._write("run.json", json.dumps({**manifest, **part}, indent=2) + "\n")

    def seeds_asked_for(self) -> dict[str, list[int]]:
        """Return the seeds of each cell that the manifest holds."""
        return {cell["cell"]: list(cell["seeds"]) for cell in self.manifest().get("cells", [])}

    def trial(self, name: str) -> Path:
        """Return the folder of a trial."""
        return self.path / "trials" / name

    def status(self, name: str) -> str | None:
        """Return the status of a trial's record, or None if there is no readable record."""
        try:
            return results.read(self.trial(name)).status
        except ValueError:
            return None


def _cells(plan: Plan) -> list[dict[str, Any]]:
    """Return the cells of a plan as the manifest lists them."""
    seeds = list(range(plan.grid.seeds))
    return [
        {
            "cell": cell.spec.cell,
            "label": cell.label,
            "axes": dict(cell.axes),
            "seeds": seeds,
            "replicas": cell.spec.placement.replicas,
            "hosts": cell.spec.placement.hosts,
        }
        for cell in plan.grid.cells
    ]


def _resolved(plan: Plan) -> dict[str, Any]:
    """Return the content of grid.yaml."""
    grid = plan.grid
    cells = [
        {"label": c.label, "cell": c.spec.cell, "axes": dict(c.axes), "spec": c.spec.model_dump(mode="json")}
        for c in grid.cells
    ]
    return {
        "name": grid.name, "description": grid.description, "preset": grid.preset, "seeds": grid.seeds,
        "search": grid.search and grid.search.model_dump(), "cells": cells,
    }  # fmt: skip


def _for_command(name: str) -> bool:
    """Return whether the command needs an object of its run: neither weights nor what the next attempt goes on from.

    The list of attempts is among the latter: on a machine that has it, the checkpoint beside it is that of its last
    attempt (see `uploads`).
    """
    return not is_large(name) and not name.endswith(f"/{ATTEMPTS_FILE}")


def resume_command(path: Path, address: str | None = None, *more: str) -> str:
    """Return the command that finishes a run where it was begun.

    Args:
        path: folder of the run.
        address: of the Ray cluster; without it the run would resume on one machine.
        more: further arguments.
    """
    where = ["--address", address] if address else []
    return shlex.join(["python", "-m", "bench.run", "--resume", shown(path), *where, *more])


def writable(out: Path, name: str | None = None, address: str | None = None) -> None:
    """Refuse a folder of runs that cannot be written, or a name that is taken or invalid, before anything starts.

    Raises:
        UsageError: names the folder or the run.
    """
    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise UsageError(f"--name {name!r}: expected a folder name without slashes")
    if is_address(out):
        raise UsageError(f"--out {out}: this command writes into a folder; runs in object stores are made by bench.run")
    mirror = mirror_of(out)
    if mirror:
        mirror.check_writable()
    there = mirror is not None and name is not None and bool(mirror.store.listed(name))
    if name is not None and (there or (out / name).exists()):
        finish = resume_command(out / name, address)
        raise UsageError(f"run {shown(out / name)} exists; choose another --name, or finish it with: {finish}")
    existing = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"0")
    except OSError as error:
        raise UsageError(f"--out {out}: {existing} is not a writable folder: {error.strerror}") from None
