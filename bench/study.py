"""`python -m bench.study --data-root DIR`: train the study of docs/study.md from the raw data, and fill in its tables.

The study is described in `bench/study.yaml`: parts, each a run of a grid on a data set, and claims about them. A part
that was begun is resumed with its first settings. A part that is complete is left as it is.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.core import (
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    UsageError,
    check_rooms,
    command,
    first_fault,
    gpu_names,
    nearest,
    start,
)
from reports import Claim

if TYPE_CHECKING:
    import results

HOME = Path(__file__).resolve().parents[1]
DEFAULT = HOME / "bench" / "study.yaml"
PAGE = HOME / "docs" / "study.md"
FIGURE = "pictures/study-losses.png"
_BLOCK = re.compile(r"(<!-- study ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class _Strict(BaseModel):
    """A part of the file of a study. It is frozen and refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Strict):
    """A data set of the study. `folder` is relative to the data root."""

    dataset: str
    folder: str
    settings: list[str] = []
    rare: list[str] = Field([], description="the classes that the page calls rare")


class Part(_Strict):
    """One run: a grid on a data set. With `classes` the page has a table of every class."""

    data: str
    grid: str
    seeds: int = Field(ge=3, description="the least for a claim")
    only: str | None = None
    settings: list[str] = []
    classes: bool = False
    trials_at_once: int = Field(
        1,
        ge=1,
        validation_alias=AliasChoices("trials_at_once", "abreast"),  # the old name
        description="number of trials that run at the same time without GPUs; several have no comparable speed",
    )


class Study(_Strict):
    """The study: its parts, in the order in which they are run, and its claims."""

    preset: str
    data: dict[str, Data]
    parts: dict[str, Part]
    claims: list[Claim]

    @model_validator(mode="after")
    def _known(self) -> Study:
        for name, part in self.parts.items():
            if part.data not in self.data:
                raise ValueError(f"part {name}: unknown data {part.data!r}{nearest(part.data, self.data)}")
        for claim in self.claims:
            if claim.part not in self.parts:
                raise ValueError(f"claim {claim.ask!r}: unknown part {claim.part!r}{nearest(claim.part, self.parts)}")
            if claim.metric == "rare_iou" and not self.rare[claim.part]:
                raise ValueError(f"claim {claim.ask!r}: the data of {claim.part} names no rare classes")
        return self

    @property
    def rare(self) -> dict[str, list[str]]:
        """The rare classes of each part's data set, by part."""
        return {name: self.data[part.data].rare for name, part in self.parts.items()}


def read(path: Path) -> Study:
    """Read a study from a YAML file.

    Raises:
        UsageError: the file cannot be read, or is no valid study.
    """
    try:
        return Study.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        fault = first_fault(error)
        raise UsageError(f"{path}: {fault.place}: {fault.message}") from None
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None


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
    import results

    try:
        manifest = results.read_manifest(out / name)
    except ValueError:
        return False
    cells = manifest.get("cells", [])
    return manifest.get("status") == "complete" and all(len(c["seeds"]) >= study.parts[name].seeds for c in cells)


def recorded(study: Study, name: str, out: Path) -> results.Run | None:
    """Return the run of a part if all its trials ended, successfully or not; None if some are missing."""
    import results
    from results import missing

    try:
        run = results.read_run(out / name)
    except ValueError:
        return None
    enough = all(len(cell["seeds"]) >= study.parts[name].seeds for cell in run.manifest.get("cells", []))
    ended = not any(one.record.status == "interrupted" for one in run.trials)
    return run if enough and ended and not missing(run) and not run.problems else None


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


def fill(text: str, blocks: dict[str, str]) -> str:
    """Return a page with new text between `<!-- study NAME -->` and `<!-- end -->`.

    Args:
        text: the page.
        blocks: the new text by NAME; the text of other names stays.
    """
    return _BLOCK.sub(
        lambda found: f"{found[1]}{blocks[found[2]]}\n{found[3]}" if found[2] in blocks else found[0], text
    )


def blocks(study: Study, runs: dict[str, results.Run]) -> dict[str, str]:
    """Return the tables of the page as Markdown, by name: one per part that was run, and `claims`."""
    from reports import Document, claims, markdown
    from reports import study as page

    def text(*made: object) -> str:
        return markdown.render(Document("", [*made])).split("\n", 1)[1].strip()  # type: ignore[list-item]

    found = {name: text(*page.part(run, study.rare[name], study.parts[name].classes)) for name, run in runs.items()}
    return {**found, "claims": text(page.claims_table(claims.answers(runs, study.claims, study.rare)))}


def write(study: Study, out: Path, page: Path) -> bool:
    """Fill in the page's tables and its figure from the parts whose trials all ended. Other parts lose their tables.

    Returns:
        Whether there is such a part. Without one the page stays as it is.

    Raises:
        UsageError: the page cannot be read or written.
    """
    import results
    from reports import losses_against, theme

    try:
        runs = {name: found for name in study.parts if (found := recorded(study, name, out))}
        if not runs:
            return False
        losses = {name: run for name, run in runs.items() if study.parts[name].grid == "losses-core"}
        filled = dict.fromkeys([*study.parts, "figure"], "*Not trained yet.*") | blocks(study, runs)
        if drawn := losses_against(losses, "cross_entropy"):
            results.write_bytes(page.parent / FIGURE, theme.png(drawn))
            filled["figure"] = f"![mIoU of each loss less that of cross-entropy, by data set]({FIGURE})"
        results.write_bytes(page, fill(page.read_text(encoding="utf-8"), filled).encode())
        return True
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None


@command
def main(
    parts: Annotated[list[str] | None, typer.Argument(help="Parts to run; default: all, in the file's order.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data sets' folders.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/study"),
    study: Annotated[Path, typer.Option(help="The study's file.")] = DEFAULT,
    page: Annotated[Path, typer.Option(help="The page whose tables are filled in.")] = PAGE,
    only_page: Annotated[bool, typer.Option("--only-page", help="Fill in the page; train nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands; train nothing.")] = False,
) -> int:
    """Train the study and fill in its page.

    Exit status: 0 complete, 2 usage, 4 a part is incomplete, 130 interrupted.
    """
    check_rooms()
    planned = read(study)
    for name in parts or []:
        if name not in planned.parts:
            raise UsageError(f"unknown part {name!r}{nearest(name, planned.parts)}")
    if only_page:
        if not write(planned, out, page):
            raise UsageError(f"{out}: no part of the study is complete")
        return EXIT_OK
    if data_root is None:
        raise UsageError("--data-root: name the folder that holds the study's data sets")
    statuses = []
    for name in parts or planned.parts:
        if complete(planned, name, out):
            print(f"{name}: complete", flush=True)
            continue
        wanted = ["-m", "bench.run", *arguments(planned, name, data_root, out)]
        print(shlex.join(["python", *wanted]), flush=True)
        if dry_run:
            continue
        statuses.append(run([sys.executable, *wanted]))
        if statuses[-1] == EXIT_INTERRUPTED:
            return EXIT_INTERRUPTED
    if dry_run:
        return EXIT_OK
    write(planned, out, page)
    return _worst(statuses)


def _worst(statuses: Sequence[int]) -> int:
    """Return the exit status of the study: 2 if any part ended with it, else 4 if any part failed, else 0."""
    if EXIT_USAGE in statuses:
        return EXIT_USAGE
    return EXIT_INCOMPLETE if any(statuses) else EXIT_OK


if __name__ == "__main__":
    start(main)
