"""Our step beside SMP's: what is compared with what, and what is said where a side is missing."""

import sys

import pytest

from bench.core import EXIT_USAGE, UsageError
from bench.perf import peers
from tests.commands.here import call

CASE = peers.Case("resnet18", 32, 8, 16, 3, "float32")


def test_ours_is_compared_with_the_fastest_way_of_the_other_side_in_the_first_step_too():
    seconds = {"ours": [1.0, 2.0, 1.0], "SMP": [3.0, 3.0, 3.0], "SMP, compiled": [2.0, 1.5, 2.0]}
    speed, first = peers.ratios(CASE, seconds, {"ours": 12.0, "SMP": 1.0, "SMP, compiled": 10.0})
    assert (speed.ours, speed.against, speed.other, speed.value) == (8.0, "SMP, compiled", 4.0, 2.0)
    assert speed.met
    assert speed.spread == (1.375, 2.0)  # of 2, .75 and 2
    assert (first.against, first.value, first.met) == ("SMP, compiled", 1.2, True)
    slow, _ = peers.ratios(CASE, {"ours": [1.0] * 3, "SMP": [1.25] * 3}, {"ours": 1.0, "SMP": 1.0})
    assert not slow.met


def test_each_other_model_has_its_own_ratio():
    found = peers.each(CASE, {"ours": [1.0] * 3, "KerasCV": [4.0] * 3, "KerasHub": [0.5] * 3})
    assert [(ratio.against, ratio.value) for ratio in found] == [("KerasCV", 4.0), ("KerasHub", 0.5)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("resnet50:512", "expected BACKBONE:PIXELS:BATCH"),
        ("resnet50:512:0", "expected BACKBONE:PIXELS:BATCH"),
    ],
)
def test_a_case_that_cannot_be_compared_is_refused(text, why):
    with pytest.raises(UsageError, match=f"--case {text}: {why}"):
        peers.case_of(text, 16, 21, "float32")


def test_a_side_that_is_not_installed_is_named_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[peers\]'"):
        peers.theirs(CASE, compiled=False, channels_last=False)
    status, _, told = call(peers.main, "--precision", "float16", cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert status == EXIT_USAGE
    assert "--precision float16: expected float32 or mixed_bfloat16" in told
    status, _, told = call(peers.main, "--case", "vgg16:64:2", cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert status == EXIT_USAGE
    assert "--case vgg16: SMP is compared with efficientnetlite_b0" in told


def test_a_side_whose_process_ends_says_why():
    with peers.side("SMP", CASE._replace(backbone="unknown")) as (found, _):
        assert isinstance(found, str)
        assert "Error: " in found
