"""`python -m bench.check_loss package.module:Class`: hold a loss of your own against the laws of losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from bench.core import EXIT_OK, EXIT_REGRESSION, UsageError, check_rooms, cli, command, own_code, prepare_process, start
from bench.plan import fault_of_own_code, single

if TYPE_CHECKING:
    from losses.laws import Finding

console = cli.console()
STYLES = {"holds": "", "broken": "red", "not applicable": "dim"}
OWN_RTOL = 2e-5
"""Relative difference up to which values of a loss agree that were computed in two ways. Our own keep a tenth of it."""


@command
def main(
    loss: Annotated[str, typer.Argument(help="package.module:Class, or a registered loss.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, a parameter of the loss; repeatable.")
    ] = None,
    classes: Annotated[int, typer.Option(min=2, max=100, help="Number of classes.")] = 3,
) -> int:
    """Hold a loss against the laws that the losses of the suite obey, and print a table of them.

    Exit status: 0 all essential laws hold, 1 one of them is broken, 2 usage.
    """
    check_rooms()
    spec = single([f"loss.name={loss}", *(f"loss.params.{text}" for text in set_ or [])], "smoke", "float32").loss
    prepare_process()
    if own_code.is_own(loss):
        own_code.make_importable([loss])
        if fault := fault_of_own_code("loss.name", loss, spec.params):
            raise UsageError(fault)
    import losses
    from losses.laws import ESSENTIAL, FURTHER, Subject, hold

    try:
        subject = Subject(losses.get(loss, **spec.params), classes, OWN_RTOL)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    findings = [hold(law, subject) for law in (*ESSENTIAL, *FURTHER)]
    _show(findings)
    broken = [one.law.name for one in findings if one.law.essential and one.verdict == "broken"]
    if broken:
        console.print(f"{loss} breaks essential laws: {', '.join(broken)}", soft_wrap=True)
    return EXIT_REGRESSION if broken else EXIT_OK


def _show(findings: Sequence[Finding]) -> None:
    """Print the laws as a table, the essential ones first, and below it the counter-examples in a line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("law", "", "what it says"):
        table.add_column(column, no_wrap=column == "law", overflow="fold")
    for number, found in enumerate(findings):
        if number and findings[number - 1].law.essential and not found.law.essential:
            table.add_section()
            why = "for information: some losses break them by their definition"
            table.add_row("further laws", "", why, style="bold")
        table.add_row(found.law.name, found.verdict, found.law.statement, style=STYLES[found.verdict])
    console.print(table)
    for found in findings:
        if found.why:
            console.print(f"{found.law.name}: {found.why}", style=STYLES[found.verdict], soft_wrap=True)


if __name__ == "__main__":
    start(main)
