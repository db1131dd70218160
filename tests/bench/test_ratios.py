"""Bars of the suite's own benchmarks: what is met, what is missed, and that the figures come back."""

from pathlib import Path

import pytest

from bench.perf.ratios import Ratio, read, report


@pytest.mark.parametrize(
    ("ours", "low", "high", "met", "words"),
    [
        (97, 0.97, None, True, "at least 0.97: met"),
        (96, 0.97, None, False, "at least 0.97: missed"),
        (110, None, 1.1, True, "at most 1.1: met"),
        (111, None, 1.1, False, "at most 1.1: missed"),
        (1, None, None, True, ""),
    ],
)
def test_a_bar(ours: float, low: float | None, high: float | None, met: bool, words: str) -> None:
    ratio = Ratio("training", "images/s", ours, "a loop", 100, low, high)
    assert (ratio.value, ratio.met, ratio.bar) == (ours / 100, met, words)


def test_one_missed_bar_is_the_exit_status_and_figures_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Ratio("speed", "images/s", 12, "peer", 10, at_least=1), Ratio("memory", "MiB", 3, "peer", 2, at_most=1)]
    assert report(rows[:1], None) == 0
    assert report(rows, tmp_path / "found.json") == 1
    assert read(tmp_path / "found.json") == rows
    assert "| memory | MiB | 3 | peer | 2 | 1.5 | at most 1: missed |" in capsys.readouterr().out
