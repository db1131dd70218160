"""The runs of a study's parts: how each is started or resumed, and whether it is complete."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path

import results
from bench.core import gpu_names
from bench.study.definition import Study


def arguments(study: Study, name: str, data_root: Path, out: Path) -> list[str]:
    """Return the arguments of `bench.run` for a part: a new run, or the resumption of the one that was begun.

    A run that was begun grows if the study has more seeds by now.

    Args:
        study: the whole study.
        name: of the part.
        data_root: folder of the data sets' folders.
        out: folder of the study's runs.
    """
    part = study.parts[name]
    at_once = part.trials_at_once
    several = ["--max-concurrent", str(at_once)] if at_once > 1 and not gpu_names() else []
    data = study.data[part.data]
    if (out / name).is_dir():
        resumed = ["--resume", str(out / name), "--data-root", str(data_root / data.folder)]
        return [*resumed, "--changed", "keep", "--seeds", str(part.seeds), *several]
    settings = [option for setting in (*data.settings, *part.settings) for option in ("--set", setting)]
    return [
        "--grid", part.grid, "--preset", study.preset, "--seeds", str(part.seeds), "--dataset", data.dataset,
        "--data-root", str(data_root / data.folder), *(("--only", part.only) if part.only else ()), *settings,
        "--out", str(out), "--name", name, *several,
    ]  # fmt: skip


def complete(study: Study, name: str, out: Path) -> bool:
    """Return whether the run of a part is complete, with all seeds of the study."""
    try:
        manifest = results.read_manifest(out / name)
    except ValueError:
        return False
    cells = manifest.get("cells", [])
    return manifest.get("status") == "complete" and all(
        len(c.get("seeds", [])) >= study.parts[name].seeds for c in cells
    )


def recorded(study: Study, name: str, out: Path, published: bool = False) -> results.Run | None:
    """Return the run of a part if all its trials ended, successfully or not; None if some are missing.

    Args:
        study: the whole study.
        name: of the part.
        out: folder of the study's runs.
        published: whether a part without a run there is read from its published records.

    Raises:
        ValueError: the published records were changed or are not there, or what is there cannot be read: the page would
            lose tables that it has.
    """
    import results

    source, release = out / name, study.parts[name].published
    if published and release and not source.exists():
        source = results.releases_folder() / release
        if not source.is_dir():
            raise ValueError(f"{source}: no published records of part {name}; correct its `published`")
        results.verify(source)
    try:
        results.find(source)
    except ValueError:
        return None  # not begun
    run = results.read_run(source)
    if run.problems:
        raise ValueError(run.problems[0])
    enough = all(len(cell.get("seeds", [])) >= study.parts[name].seeds for cell in run.manifest.get("cells", []))
    ended = not any(one.record.status == "interrupted" for one in run.trials)
    return run if enough and ended and not results.missing(run) else None


def run(wanted: list[str]) -> int:
    """Run a command and return its exit status.

    Ctrl-C reaches the command by itself, and this waits for its end. SIGTERM is passed on.
    """
    child = subprocess.Popen(wanted)
    before = signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    try:
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                return child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
