"""`bench.budget`: the table in the terminal and in a page, and what it refuses."""

import re

import pytest

import results
from bench import budget
from tests.results.test_budgets import _training


@pytest.fixture
def run(tmp_path):
    for loss, ends in {"dice": (0.3, 0.5), "bce": (0.4, 0.4)}.items():
        for epochs, final in zip((10, 100), ends, strict=True):
            for seed in range(3):
                record = _training(loss, epochs, final + 0.001 * seed, seed)
                results.write(tmp_path / "run" / "trials" / record.trial, record)
    (tmp_path / "run" / "run.json").write_text("{}")
    return tmp_path / "run"


def _status(*arguments, **options):
    with pytest.raises(SystemExit) as caught:
        budget.main(*arguments, **options)
    return caught.value.code


def test_it_tells_how_many_verdicts_held(run, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\nBefore.\n\n<!-- budget -->\nold\n<!-- end -->\n\nAfter.\n")
    assert _status([run], page=page) == 0
    told = capsys.readouterr().out
    assert "d, one rate for all, own schedule (1000 steps, 3 seeds)" in told
    assert "After 10 % of the training (100 steps) 0 of 1 verdict held to convergence; 0 dissolved, 1 turned" in told
    text = page.read_text()
    assert text.startswith("# Page\n\nBefore.\n\n<!-- budget -->\n### d, one rate for all, own schedule")
    assert text.endswith("<!-- end -->\n\nAfter.\n")
    assert "old" not in text
    table = tmp_path / "precedents.csv"
    assert _status([run], table=table) == 0
    assert table.read_text().splitlines()[1:] == ["d,100,1000,1,0,1"]
    again = page.read_bytes()
    assert _status([run], page=page) == 0
    assert page.read_bytes() == again


def test_it_refuses_in_one_line(run, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    assert _status([run], page=page) == 2
    assert f"--page {page}: no <!-- budget -->" in capsys.readouterr().err
    assert page.read_text() == "# Page\n"
    assert _status([run], page=tmp_path / "none.md") == 2
    assert _status([run], table=page / "p.csv") == 2  # below a file
    assert re.search(
        rf"--table {re.escape(str(page / 'p.csv'))}: .*(Not a directory|File exists)", capsys.readouterr().err
    )
    assert _status([tmp_path / "nowhere"]) == 2
    lone = tmp_path / "lone"
    results.write(lone / "trials" / "t", _training("dice", 1, 0.5))
    (lone / "run.json").write_text("{}")
    assert _status([lone]) == 4
