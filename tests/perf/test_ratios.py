"""The suite's own benchmarks: turns, ratios, bars, fitted exponents, and that the figures come back."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import results
from bench.core import UsageError
from bench.perf.drift import Time, of_speed, summary
from bench.perf.ratios import Ratio, keep, read, report
from bench.perf.rounds import quartiles, times
from bench.perf.work import exponent


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
    rows = [
        Ratio("speed", "images/s", 12, "peer", 10, at_least=1, spread=(1.1, 1.3)),
        Ratio("memory", "MiB", 3, "peer", 2, at_most=1),
    ]
    assert report(rows[:1], None) == 0
    assert report(rows, tmp_path / "found.json") == 1
    assert read(tmp_path / "found.json") == (rows, True)
    keep(rows[:1], tmp_path / "found.json")
    assert read(tmp_path / "found.json") == (rows[:1], False), "more was to follow"
    assert read(tmp_path / "absent.json") == ([], False)
    assert "| memory | MiB | 3 | peer | 2 | 1.5 |  | at most 1: missed |" in capsys.readouterr().out


def test_the_sides_take_turns_and_every_other_round_goes_backwards() -> None:
    calls: list[str] = []
    found = times({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 4, warm_up=2)
    assert "".join(calls) == "abab" + "ab" + "ba" + "ab" + "ba"
    assert {name: len(values) for name, values in found.items()} == {"a": 4, "b": 4}
    calls.clear()
    times({"a": lambda: calls.append("a")}, 9, warm_up=0, seconds=0)
    assert len(calls) == 3, "three rounds at least, however long they take"


def test_the_spread_of_a_ratio_is_that_of_its_rounds() -> None:
    # A machine that is twice as slow in two of the rounds: the ratio does not move.
    assert quartiles([2, 4, 2, 4, 2], [1, 2, 1, 2, 1]) == (2, 2)
    assert quartiles([1, 2, 3, 4, 5], [1, 1, 1, 1, 1]) == (2, 4)


def test_the_exponent_of_a_power_law() -> None:
    slope, error, last = exponent({size: 3e-4 * size**1.7 for size in (128, 256, 512)})
    assert (slope, error, last) == pytest.approx((1.7, 0, 1.7), abs=1e-6)
    # What is paid once hides the growth from the whole line, and less so from its end.
    slope, error, last = exponent({size: 1 + 1e-4 * size**2 for size in (16, 64, 256)})
    assert slope < last < 2
    assert error > 0.1


def test_a_drift_that_the_reference_has_too_is_removed_and_one_that_it_has_not_is_not() -> None:
    """Of 80, 90, 100, 110 and 120 images/s the quartiles are 90 and 110, a fifth of the median apart."""
    rates = [80.0, 90.0, 100.0, 110.0, 120.0]
    together = summary([Time(rate, rate / 2, 200.0, None) for rate in rates])
    assert together[:2] == [
        "images/s: quartiles 90.0 and 110.0, median 100.0; apart by 20.0%",
        "images per 100 GFLOP: quartiles 200.0 and 200.0, median 200.0; apart by 0.0%",
    ]
    assert together[2].startswith("The reference removes 100% ")
    alone = summary([Time(rate, 50.0, 2 * rate, None) for rate in rates])
    assert alone[2].startswith("The reference removes 0% ")


def test_a_rate_that_never_settled_is_the_median_of_its_windows_and_without_a_reference_there_is_none() -> None:
    speed = results.Throughput(
        windows=[10, 30, 20], reference=results.Reference(version=1, gflops=[40, 60]), reason="r"
    )
    assert of_speed(speed) == Time(20, 50, 40, "r")
    assert of_speed(speed.model_copy(update={"images_per_second": 25.0})).rate == 25
    for nothing in (None, results.Throughput(windows=[10]), speed.model_copy(update={"windows": []})):
        with pytest.raises(UsageError, match="too short"):
            of_speed(nothing)


def test_what_a_side_prepares_is_not_timed() -> None:
    def prepares() -> Callable[[], None]:
        time.sleep(0.2)
        return lambda: None

    assert max(times({"a": prepares}, 3)["a"]) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("input", ["--size", "64", "--rounds", "3"], "| after 2 |"),
        ("tables", ["--records", "600"], "| tables and report of 60 trials |"),
        ("schedule", ["--skip-grid", "--trials", "2"], "| the same, actors used again |"),
        ("training", ["--steps", "2", "--rounds", "3"], "| keras.metrics.MeanIoU |"),
        ("step", ["--backbone", "mobilenetv3_small", "--size", "64", "--rounds", "3"], "| running confusion matrix |"),
        ("models", ["--cases", "mobilenetv3_small:64:1", "--rounds", "3"], "| the most this machine does ("),
        ("profile", ["--preset", "smoke"], "| in none of these |"),
        ("drift", ["--times", "3", "--pause", "0"], "| the same and the edges of its windows, CPU time |"),
    ],
)
def test_a_benchmark_runs_to_its_table(name: str, arguments: list[str], expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"bench.perf.{name}", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr[-2000:]  # 1: a bar is missed, as it may be
    assert expected in done.stdout
