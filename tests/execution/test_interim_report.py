"""Reports between rounds of seeds: when, where they are told to lie, and that none can end a run."""

import subprocess
from pathlib import Path

import pytest

from bench.execution import interim_report
from bench.execution.interim_report import InterimReports
from tests.invented_runs import lifelike as fake

SEEDS = {"a-s0": 0, "b-s0": 0, "a-s1": 1, "b-s1": 1}


class Begun(InterimReports):
    """Counts the reports that it would have written."""

    begun = 0

    def _begin(self):
        self.begun += 1


def _begun(*ended):
    reports = Begun(Path("absent"), SEEDS, True, print)
    return [(reports.ended(name), reports.begun)[1] for name in ended]


def test_a_report_comes_after_every_round_but_the_last():
    assert _begun("a-s0", "b-s0", "a-s1", "b-s1") == [0, 1, 1, 1]


def test_a_round_counts_once_all_earlier_ones_are_done():
    assert _begun("a-s0", "a-s1", "b-s1", "b-s0") == [0, 0, 0, 0], "with the last trial comes the last report"
    assert _begun("a-s0", "a-s1", "b-s0", "b-s1") == [0, 0, 1, 1]


def test_trials_of_no_round_have_no_report():
    reports = Begun(Path("absent"), {}, True, print)
    reports.ended("a-s0")
    assert reports.begun == 0


@pytest.mark.parametrize("wait", [True, False])
def test_a_report_that_fails_is_one_line_and_leaves_no_process(tmp_path, wait):
    (tmp_path / "trials").mkdir()
    said = []
    reports = InterimReports(tmp_path, SEEDS, wait, said.append)
    reports.ended("a-s0")
    reports.ended("b-s0")
    reports.close()
    assert len(said) == 1
    assert said[0].startswith("No report yet: ")
    assert "no record of a trial" in said[0]


def test_a_report_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    started = []
    real = subprocess.Popen

    def slow(command, **options):
        started.append(real(["sleep", "600"], **options))
        return started[0]

    monkeypatch.setattr(interim_report, "SECONDS", 0.1)
    monkeypatch.setattr(interim_report.subprocess, "Popen", slow)
    said = []
    reports = InterimReports(tmp_path, SEEDS, True, said.append)
    reports.ended("a-s0")
    reports.ended("b-s0")
    assert said == ["No report yet: it took longer than 0.1 s"]
    assert started[0].poll() is not None


def test_a_process_that_cannot_be_started_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(interim_report.sys, "executable", str(tmp_path / "absent"))
    said = []
    reports = InterimReports(tmp_path, SEEDS, True, said.append)
    reports.ended("a-s0")
    reports.ended("b-s0")
    assert said == ["No report yet: No such file or directory"]


def test_the_report_and_its_place_are_there_after_a_round(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["a", "b"], seeds=1, classes=2, pictures=0)
    said = []
    reports = InterimReports(folder, SEEDS, True, said.append)
    reports.ended("a-s0")
    assert said == []
    reports.ended("b-s0")
    assert said == [f"Report after 1 of 2 rounds: {folder / 'report' / 'report.html'}"]
    assert (folder / "report" / "report.html").is_file()
