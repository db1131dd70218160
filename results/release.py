"""Published releases: records, tables, environments and reports of runs, frozen in `results/releases/VERSION/`.

`SHA256SUMS` lists every file (check it with `sha256sum -c`). A release is written once and never changed.
"""

import json
import os
import re
import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from results.store import (
    LOG,
    MANIFEST,
    RECORD,
    SUMS,
    TRIALS,
    Run,
    StrPath,
    failed,
    locate,
    missing,
    read_run,
    release_of,
    releases_folder,
    sha256,
    write_bytes,
)

_TEXTS = {".json", ".yaml", ".txt", ".md", ".html", ".csv"}
VERSION = re.compile(r"\d+\.\d+\.\d+([-+.][0-9A-Za-z.-]+)?")


def publish(runs: Sequence[StrPath | Run], version: str, incomplete: bool = False) -> Path:
    """Freeze runs, for example one per grid, as a release and return its folder.

    Each run gets a folder in the release, named like its grid. Tables, reports, records and logs are copied;
    checkpoints and prediction images are not. The report holds the pictures that it shows. Of this machine's folders
    that the texts name, such as that of the data set, only the last part is kept.

    Raises:
        ValueError: an invalid version or one that exists already, or a run without a report or that lacks trials
            (unless `incomplete`).
    """
    read = [run if isinstance(run, Run) else read_run(run) for run in runs]
    target = check(read, version, incomplete)
    for run in read:
        for needed in ("report/report.md", "report/report.html", "tables/trials.parquet"):
            if not (run.folder / needed).is_file():
                raise ValueError(f"{run.folder / needed}: missing; make it with `python -m bench.report {run.folder}`")
    draft = target.with_name(f".{version}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for name, run in _named(read).items():
            _copy(run, draft / name)
        manifest = {
            "release": version,
            "runs": list(_named(read)),
            "cells": [cell for run in read for cell in run.manifest.get("cells", [])],
            "gaps": [gap for run in read for gap in gaps(run)],
        }
        write_bytes(draft / MANIFEST, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
        write_bytes(draft / SUMS, _sums(draft).encode())
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target


def check(runs: Sequence[Run], version: str, incomplete: bool = False) -> Path:
    """Check that a release can be published, and return the folder that it would get.

    Raises:
        ValueError: an invalid version or one that exists already, or a run that lacks trials (unless `incomplete`).
    """
    if not VERSION.fullmatch(version):
        raise ValueError(f"release {version!r}: expected a version such as 0.2.0")
    target = releases_folder(make=True) / version
    if target.exists():
        raise ValueError(f"{target}: published already, and releases never change; choose another version")
    for run in runs:
        if (lacks := gaps(run)) and not incomplete:
            more = f" and {len(lacks) - 3} more" if len(lacks) > 3 else ""
            raise ValueError(f"{run.folder}: incomplete ({'; '.join(lacks[:3])}{more}); finish it or use --incomplete")
    return target


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """Return runs by the name of their grid, or of their folder if two runs share a grid.

    Raises:
        ValueError: the same run is given twice.
    """
    grids = [str(run.manifest.get("grid") or run.folder.resolve().name) for run in runs]
    plain = [re.sub(r"[^\w.-]+", "-", Path(grid).stem) for grid in grids]
    named = {
        name if plain.count(name) == 1 else run.folder.resolve().name: run
        for name, run in zip(plain, runs, strict=True)
    }
    if len(named) < len(runs):
        raise ValueError("the same run is given twice")
    return named


def gaps(run: Run) -> list[str]:
    """List what a run lacks of its plan: unreadable or missing records, and trials that did not end well."""
    found = [f"a record cannot be read: {problem}" for problem in run.problems]
    found += [f"no record of {label}, seed {seed}" for _, label, seed in missing(run)]
    return found + [f"{record.trial}: {record.status}" for record in failed(run)]


def _copy(run: Run, target: Path) -> None:
    for folder in ("tables", "report"):
        shutil.copytree(run.folder / folder, target / folder, ignore=shutil.ignore_patterns(".*"))
    for name in (MANIFEST, "environment.json", "grid.yaml"):
        if (run.folder / name).is_file():
            shutil.copy2(run.folder / name, target / name)
    for one in run.trials:
        trial = target / TRIALS / one.folder.name
        trial.mkdir(parents=True)
        shutil.copy2(one.folder / RECORD, trial / RECORD)
        if (one.folder / LOG).is_file():
            shutil.copy2(one.folder / LOG, trial / LOG)
    for path in target.rglob("*"):
        if path.suffix in _TEXTS:
            path.write_bytes(_without_places(path.read_bytes(), _places(run)))


def _places(run: Run) -> list[Path]:
    """Return the folders of this machine that hold the run and its data, longest path first."""
    read = [one.record.spec.get("data", {}).get(name) for one in run.trials for name in ("root", "planned_root")]
    roots = {Path(root) for root in (*read, *chain(*run.manifest.get("moved", {}).items())) if root}
    here = {run.folder, run.folder.resolve()}
    found = {*roots, *here, *(path.parent for path in here), Path.home(), Path.cwd()}
    return sorted((path for path in found if path.is_absolute() and path.name), key=lambda path: -len(str(path)))


def _without_places(text: bytes, places: Sequence[Path]) -> bytes:
    """Reduce each place to its last name: this machine's folders do not concern the readers of a release."""
    for place in places:
        named = rb"(?<![\w./-])" + re.escape(os.fsencode(place)) + rb"(?![\w-])"
        text = re.sub(named, os.fsencode(place.name).replace(b"\\", b"\\\\"), text)
    return text


def _sums(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return "".join(f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def verify(folder: StrPath) -> None:
    """Check the release that a folder belongs to against its sums; a folder of no release passes.

    Raises:
        ValueError: a file was changed, lost or added after publishing.
    """
    found = release_of(folder)
    if found is None:
        return
    folder, sums = found, _sums(found)
    if (folder / SUMS).read_text() != sums:
        listed, actual = _by_name((folder / SUMS).read_text()), _by_name(sums)
        names = sorted(name for name in {*listed, *actual} if listed.get(name) != actual.get(name)) or [SUMS]
        raise ValueError(f"{folder}: {', '.join(names[:3])} changed after publishing; restore the release")


def _by_name(sums: str) -> dict[str, str]:
    """Return the sum of each file that a list of sums names; a line that is none stands for a change of the list."""
    lines = [line.partition("  ") for line in sums.splitlines()]
    return {name or SUMS: value for value, _, name in lines}


def published_runs(more: Sequence[StrPath] = ()) -> list[Run]:
    """Read all published releases, oldest first, and then further runs or releases; each release is verified.

    Raises:
        ValueError: there is nothing to read, one of them cannot be read, or a release was changed; one line.
    """
    sources: list[StrPath] = [*(releases_folder() / version for version in published()), *more]
    if not sources:
        raise ValueError(
            "no release is published yet (`python -m bench.publish RUN --release 0.1.0`), and no run is named"
        )
    for source in sources:
        verify(locate(source))
    return [read_run(source) for source in sources]


def published() -> list[str]:
    """Return the published versions, oldest first."""
    folder = releases_folder()
    found = [path.name for path in folder.iterdir() if VERSION.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=_order)


def _order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """Return a sort key close to semantic versioning: 0.2.0-rc1 before 0.2.0 before 0.10.0."""
    numbers, _, rest = version.partition("-")
    return tuple(int(part) for part in re.findall(r"\d+", numbers)[:3]), not rest, rest
