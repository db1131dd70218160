"""`python -m bench.status runs/NAME`: tell where a run stands, from its folder alone: who runs, what is left."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.core import EXIT_OK, UsageError, cli, command, start

if TYPE_CHECKING:
    from rich.console import Console

    from bench.watching import RunStatus


@command
def main(
    run: Annotated[Path, typer.Argument(help="Folder of the run, or s3://BUCKET/FOLDER.")],
    watch: Annotated[bool, typer.Option("--watch", help="Tell it again and again, until the run has ended.")] = False,
    every: Annotated[float, typer.Option(min=0.5, help="With --watch: seconds between two looks.")] = 5.0,
    log: Annotated[str | None, typer.Option(help="Show the end of this trial's log.")] = None,
    lines: Annotated[int, typer.Option(min=1, help="With --log: lines at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per look.")] = False,
) -> int:
    """Tell where a run stands: done, running, waiting, failed; time left; best so far; the end of a log.

    It reads the run's folder and nothing else, on any machine that sees it. Exit status: 0, or 2 if there is no run.
    """
    from bench import storage, watching

    if log is not None and as_json:
        raise UsageError("--log and --json: leave out one of the two")
    console = cli.console()

    def needed(name: str) -> bool:
        return name.endswith(".json") or (log is not None and f"trials/{log}" in name and name.endswith("log.txt"))

    def told() -> tuple[RunStatus, list[str]]:
        status = watching.look(storage.brought(run, needed))
        if as_json:
            return status, [json.dumps(watching.plain(status), ensure_ascii=False)]
        text = watching.lines(status)
        return status, text if log is None else [*text, "", *watching.last_lines(status.run, log, lines)]

    status, text = told()
    if not watch:
        _print(console, text)
    elif console.is_terminal and not as_json:
        from rich.live import Live
        from rich.text import Text

        with Live(Text("\n".join(text)), console=console, auto_refresh=False, vertical_overflow="visible") as live:
            while status.goes_on:
                time.sleep(every)
                status, text = told()
                live.update(Text("\n".join(text)), refresh=True)
    else:
        _print(console, text)
        while status.goes_on:
            time.sleep(every)
            status, text = told()
            _print(console, text if as_json else ["", *text])
    return EXIT_OK


def _print(console: Console, text: list[str]) -> None:
    for line in text:
        console.print(line, soft_wrap=True)


if __name__ == "__main__":
    start(main)
