"""`segbench COMMAND`, or `python -m bench COMMAND`: all commands under one name."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from bench import __version__
from bench.core import cli, nearest

COMMANDS = (
    "init", "run", "submit", "status", "upload", "trial", "list", "data", "report", "compare", "versus", "bisect",
    "history", "site", "publish", "predict", "export", "audit", "tfx", "check-loss", "score", "scaling", "budget",
    "study", "perf",
)  # fmt: skip
"""In the order of their use. Each is the module `bench.NAME`, with `_` for `-`."""


class _Command(TyperCommand):
    """A command whose module is imported when it is used; a list of all commands imports none of them."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context of the command itself."""
        module = import_module(_module(str(self.name)))
        app = getattr(module, "app", None) or cli.app(module.main)
        return typer.main.get_command(app).make_context(info_name, args, parent=parent, **extra)


class _Commands(TyperGroup):
    """The commands by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of that name."""
        return _Command(cmd_name, help=_purpose(cmd_name)) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first argument names.

        Raises:
            typer.BadParameter: there is none; one line that suggests the nearest name.
        """
        if not args[0].startswith("-") and args[0] not in COMMANDS:
            raise typer.BadParameter(f"no command {args[0]!r}{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


def _module(name: str) -> str:
    name = name.replace("-", "_")
    return f"bench.{name}.__main__" if (Path(__file__).parent / name).is_dir() else f"bench.{name}"


def _purpose(name: str) -> str:
    """Return what a command does: the first line of its file, without the example before the colon."""
    source = Path(__file__).parent.joinpath(*_module(name).split(".")[1:]).with_suffix(".py")
    first = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").splitlines()[0]
    text = first.rpartition("`: ")[2]
    return text[:1].upper() + text[1:]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"segbench {__version__}")
        raise typer.Exit


app = typer.Typer(cls=_Commands, pretty_exceptions_enable=False, no_args_is_help=True, context_settings=cli.HELP)


@app.callback()
def _group(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compare losses, backbones and heads for semantic segmentation, with error bars.

    `segbench COMMAND --help` explains a command.
    """


def main() -> None:
    """Run `segbench`."""
    cli.start(app)


if __name__ == "__main__":
    cli.start(app, prog_name="python -m bench")
