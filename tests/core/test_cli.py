"""What commands print is what stands there: no name, path or reason is read as markup."""

import ast
import io
import subprocess
import sys
from pathlib import Path

import pytest
import rich.console
from rich.table import Table
from typer.testing import CliRunner

from bench.core import cli
from bench.execution.progress import ProgressView
from bench.execution.standing import Standing

HOME = Path(__file__).resolve().parents[2]
ODD = ["[unlabeled]", "lane [/right]", "[/]", "[red]x[/]", ":cat:", "[0]", "a\\[b]"]


def printed(*renderables, **options):
    out = io.StringIO()
    console = cli.console(file=out, width=200, **options)
    for renderable in renderables:
        console.print(renderable, soft_wrap=True)
    return out.getvalue()


@pytest.mark.parametrize("text", ODD)
def test_text_comes_out_as_it_is(text):
    assert printed(text) == f"{text}\n"
    table = Table(title=text, box=None)
    table.add_column(text)
    table.add_row(text)
    assert printed(table).count(text) == 3


CHATTY = """
import sys
from bench.core import cli
def main() -> int:
    for _ in range(3000):
        {line}
    print("done", file=sys.stderr)
    return 3
cli.command(main)()
"""
TABLE = "cli.console().print('x' * 70)"
PLAIN = "print('x' * 70)"


@pytest.mark.parametrize(("line", "status", "told"), [(TABLE, 3, "done\n"), (PLAIN, 141, "")])
def test_a_reader_that_goes_is_no_fault(line, status, told):
    child = subprocess.Popen(
        [sys.executable, "-c", CHATTY.format(line=line)],
        cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    child.stdout.readline()
    child.stdout.close()
    assert (child.stderr.read(), child.wait()) == (told, status)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("line", [TABLE, PLAIN])
def test_an_output_that_is_full_is_one_line(line):
    with open("/dev/full", "w") as full:
        code = CHATTY.format(line=line)
        done = subprocess.run([sys.executable, "-c", code], cwd=HOME, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "error: output: cannot be written: No space left on device; make room\n"
    assert done.returncode == 4


@pytest.mark.parametrize("text", ODD)
def test_the_live_view_shows_names_as_they_are(text):
    for terminal in (False, True):
        out = io.StringIO()
        standing = Standing({text: ("", 1)})
        with ProgressView(standing, cli.console(file=out, width=200, force_terminal=terminal)) as view:
            standing.started(text)
            view.note(text)
            view.ended(text, "crashed", standing.ended(text, "crashed"), text)
        assert out.getvalue().count(text) >= 3


@pytest.mark.parametrize("text", ODD)
def test_what_is_refused_is_named_as_it_is(text, tmp_path):
    """typer's own errors and ours."""
    from bench.data.__main__ import app

    result = CliRunner().invoke(app, ["check", str(tmp_path / text.replace("/", "_"))])
    assert f"{tmp_path / text.replace('/', '_')}: no such folder" in result.stderr
    result = CliRunner().invoke(app, ["sheet", "x.png", f"--{text}"], env={"COLUMNS": "200"})
    assert (result.exit_code, text in result.stderr) == (2, True), result.output


def test_a_name_that_the_terminal_cannot_show_ends_no_command(monkeypatch):
    """Such as a class `kåt` where the locale knows ASCII only: what was worked out is still told."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))

    def tell():
        print("k\xe5t", "\udcff")
        sys.stdout.flush()
        return 0

    with pytest.raises(SystemExit):
        cli.command(tell)()
    assert out.getvalue() == rb"k\xe5t \udcff" + b"\n"


def test_all_consoles_are_made_in_one_place():
    """And no text is asked to be markup: `from_markup`, `escape`, `markup=`."""
    made, asked = set(), set()
    for path in (HOME / "bench").rglob("*.py"):
        name = str(path.relative_to(HOME))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Console":
                made.add(name)
            if isinstance(node, ast.Attribute) and node.attr == "from_markup":
                asked.add(name)
            if isinstance(node, ast.keyword) and node.arg == "markup":
                asked.add(name)
    assert (made, asked) == ({"bench/core/cli.py"}, {"bench/core/cli.py"})
    assert rich.console.Console().render_str("[red]x[/]").plain == "x", "which is why"
