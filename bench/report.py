"""`python -m bench.report RUN...`: write the report of a run again, or one report on several, from records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import storage
from bench.core import EXIT_OK, UsageError, command, start


@command
def main(
    runs: Annotated[list[Path], typer.Argument(help="A run's folder or address (s3://BUCKET/FOLDER), or several.")],
    base: Annotated[str | None, typer.Option(help="A run or release; the report lists what regressed since.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report on several runs; default: runs/ and their names.")
    ] = None,
) -> int:
    """Rebuild a run's tables and its report (report.md, report.html), or write one report on several runs."""
    try:
        path = _of_one(runs[0], base, out) if len(runs) == 1 else _of_several(runs, base, out)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from None
    print(path)
    print(path.with_suffix(".html"))
    return EXIT_OK


def _of_one(run: Path, base: str | None, out: Path | None) -> Path:
    import reports
    import results

    if out is not None:
        raise UsageError(
            f"--out {out}: the report of one run lies in its folder; name several runs, or leave --out out"
        )
    if results.release_of(found := results.locate(run)):
        raise UsageError(f"{run}: a published release never changes; its report lies in {found / 'report'}")
    here = storage.brought(run)
    results.write_tables(here)
    report = reports.write(here, base and str(storage.brought(Path(base))))
    storage.written(run, "tables", "report")
    return report


def _of_several(runs: list[Path], base: str | None, out: Path | None) -> Path:
    import reports
    import results

    if base is not None:
        raise UsageError("--base: a report on several runs has no base; bench.compare compares two runs")
    folder = out or Path("runs") / "+".join(results.locate(run).resolve().name for run in runs)
    if (folder / "run.json").exists() or (folder / "trials").exists() or results.release_of(folder):
        raise UsageError(f"{folder}: holds a run or a release; name another folder with --out")
    return reports.write_together([storage.brought(run) for run in runs], folder)


if __name__ == "__main__":
    start(main)
