"""What is wrong with a record, a margins file or a path, in one line: place, fault, how many more, the nearest name."""

import json
import re
from pathlib import Path

import pytest

import results
from results import margins

RECORD = sorted((Path(__file__).parent / "records").glob("*.json"))[0]
RULE = {"scale": "difference", "better": "higher", "margin": 0.01}


def said(path, read, content):
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(f"{path}: ")) as caught:
        read(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_the_first_fault_of_a_record_stands_for_all(tmp_path):
    record = json.loads(RECORD.read_text())
    one = said(tmp_path / "record.json", results.read, {**record, "seed": "x"})
    assert one == "seed: must be a whole number"
    two = said(tmp_path / "record.json", results.read, {**record, "seed": "x", "colour": 1})
    assert two == "colour: is not known (and 1 more)", "an unknown key explains the others"


def test_a_place_holds_names_and_numbers_alone_not_types(tmp_path):
    record = json.loads(RECORD.read_text())
    view = {**record["views"][0], "iou": ["x"]}
    found = said(tmp_path / "record.json", results.read, {**record, "views": [view]})
    assert found.startswith("views.0.iou.0: must be ")


def test_a_fault_of_the_whole_record_names_the_record(tmp_path):
    record = json.loads(RECORD.read_text())
    error = {"kind": "Diverged", "message": "the loss is NaN"}
    found = said(tmp_path / "record.json", results.read, {**record, "status": "ok", "error": error})
    assert found == "record: status ok, yet an error: the loss is NaN"


def test_the_first_fault_of_margins_stands_for_all(tmp_path):
    path = tmp_path / "margins.yaml"
    assert said(path, margins.read, {"metrics": {"miuo": RULE}}) == "unknown metric 'miuo'; did you mean 'miou'?"
    assert said(path, margins.read, {"metrics": {"zzz": RULE}}).startswith("unknown metric 'zzz'; known: ")
    two = said(path, margins.read, {"metrics": {"miou": {**RULE, "margin": -1}}, "alpha": 2})
    assert two == "alpha: must be below 1"
    true = said(path, margins.read, {"metrics": {"miou": {**RULE, "margin": True}}})
    assert true == "metrics.miou.margin: expected a number, not true"
    path.write_text("metrics: {miou: {scale: difference, better: higher, margin: .inf}}")
    with pytest.raises(ValueError, match="margin: must be a finite number"):
        margins.read(path)


def test_a_path_that_is_not_there_names_the_nearest(tmp_path):
    (tmp_path / "losses").mkdir()
    with pytest.raises(ValueError, match=re.escape(f"nor a release; did you mean {tmp_path / 'losses'}?")):
        results.find(tmp_path / "loses")
    with pytest.raises(ValueError, match=r"nor a release$"):
        results.find(tmp_path / "zzz")
    (tmp_path / "latest").symlink_to("gone")
    with pytest.raises(ValueError, match=r"latest: a link to what is not there$"):
        results.find(tmp_path / "latest")
