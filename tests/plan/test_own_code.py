"""Own code in grids: another cell when it changes, and every fault one line before the first trial."""

import json
import re
import sys
from pathlib import Path

import pytest

from bench.core import UsageError, own_code
from bench.plan import check_own_code, grid, grid_schema
from bench.plan.own_code_probe import fault
from bench.spec import TrialSpec, as_settings, parse

CODE = """
import collections

number = 3

def plain(labels, logits, alpha, beta=1.0):
    return 0.0

class Mine:
    def __init__(self, alpha=0.5, class_weights=None):
        if alpha > 1:
            raise ValueError("alpha must be at most 1")
        self.alpha, self.weights = alpha, [float(w) for w in class_weights or []]

    def __call__(self, labels, logits):
        return 0.0

class NotCallable:
    pass

def head(classes):
    return lambda features: features

def accuracy(confusion):
    return confusion.trace() / confusion.sum()

def per_class(confusion):
    return confusion.sum(0)

class Fails:
    def __init__(self, classes):
        raise RuntimeError("two\\nlines")
"""


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    home = tmp_path_factory.mktemp("own")
    (home / "planpkg").mkdir()
    (home / "planpkg" / "__init__.py").write_text("")
    (home / "planpkg" / "code.py").write_text(CODE)
    (home / "planpkg" / "broken.py").write_text("import beside_it\n")
    (home / "beside_it.py").write_text("")
    (home / "planpkg" / "leaves.py").write_text("raise SystemExit(3)")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(own_code, "_finder", own_code._OwnFinder())  # that of this process holds other folders
        yield home


def spec(**loss):
    return parse({"loss": {"name": "planpkg.code:Mine", **loss}}, "test")


def test_changed_code_is_another_cell_and_the_spec_tells_its_hash(package):
    before = spec()
    assert before.own_code == {"planpkg.code:Mine": own_code.source("planpkg.code:Mine").digest}
    assert parse(before.model_dump(mode="json"), "again").cell == before.cell
    assert spec(params={"alpha": 0.25}).cell != before.cell
    (package / "planpkg" / "data.txt").write_text("read by the code")
    after = spec()
    assert after.cell != before.cell
    assert parse(before.model_dump(mode="json"), "as planned").cell == before.cell, "a stored hash is kept"
    (package / "planpkg" / "data.txt").unlink()
    assert spec().cell == before.cell
    assert TrialSpec().own_code == {}
    assert not any("own_code" in text for text in as_settings(before)), "every revision makes its own hash"


def test_a_metric_is_hashed_but_makes_no_other_cell(package):
    metric = parse({"eval": {"metrics": ["planpkg.code:accuracy"]}}, "test")
    assert set(metric.own_code) == {"planpkg.code:accuracy"}
    assert metric.cell == TrialSpec().cell
    both = parse({"loss": {"name": "planpkg.code:Mine"}, "eval": {"metrics": ["planpkg.code:accuracy"]}}, "test")
    assert both.cell == spec().cell
    with pytest.raises(UsageError, match=r"eval\.metrics: 'miou': expected package\.module:Class"):
        parse({"eval": {"metrics": ["miou"]}}, "test")


def test_own_names_stand_in_grids_and_editors_accept_them(package):
    Path("mine.yaml").write_text("base: {loss.params.alpha: 1e-1}\naxes: {loss: ['planpkg.code:Mine', dice_bce]}\n")
    with pytest.raises(UsageError, match="loss 'dice_bce' has no parameter 'alpha'"):
        grid.load("mine.yaml")
    Path("mine.yaml").write_text("axes: {loss: ['planpkg.code:Mine', dice]}\n")
    first, second = grid.load("mine.yaml", settings=["model.head=planpkg.code:head"]).cells
    assert set(first.spec.own_code) == {"planpkg.code:Mine", "planpkg.code:head"}
    assert set(second.spec.own_code) == {"planpkg.code:head"}
    assert first.trial(0)[0].startswith("planpkg.code-Mine-")
    field = grid_schema.schema()["$defs"]["Settings"]["properties"]["loss.name"]
    assert {"pattern": grid_schema.OWN} in field["anyOf"]
    assert spec(params={"alpha": "1e-1"}).loss.params == {"alpha": 0.1}, "YAML 1.1 reads 1e-1 as text"
    with pytest.raises(UsageError, match="own_code: hashes of your own code are made when a run is planned"):
        grid.load("mine.yaml", settings=["own_code={a: b}"])


@pytest.mark.parametrize(
    ("field", "name", "params", "message"),
    [
        ("loss.name", "planpkg.code:Mine", {"alpha": 0.1, "class_weights": "enet"}, None),
        ("loss.name", "planpkg.code:plain", {"alpha": 0.1}, None),
        ("loss.name", "planpkg.code:Mine", {"alhpa": 1}, "code:Mine has no parameter 'alhpa'; did you mean 'alpha'"),
        ("loss.name", "planpkg.code:plain", {"gamma": 1}, r"has no parameter 'gamma'.*alpha"),
        ("loss.name", "planpkg.code:plain", {}, "needs a parameter 'alpha'; set loss.params.alpha"),
        ("loss.name", "planpkg.code:Mine", {"alpha": 2}, "refuses its parameters: ValueError: alpha must be at most 1"),
        ("loss.name", "planpkg.code:Mien", {}, "module planpkg.code has no 'Mien'; did you mean 'Mine'"),
        ("loss.name", "planpkg.code:number", {}, "planpkg.code:number is not callable, but of type int"),
        ("loss.name", "planpkg.code:NotCallable", {}, "an object of the class is not callable"),
        ("loss.name", "planpkg.leaves:Mine", {}, "importing planpkg.leaves raises SystemExit: 3"),
        ("loss.name", "planpkg.broken:Mine", {},
         r"ModuleNotFoundError: No module named 'beside_it'; move beside_it.py into the package planpkg"),
        ("model.head", "planpkg.code:head", {}, None),
        ("model.head", "planpkg.code:Fails", {}, "is called with the number of classes and raises RuntimeError: two"),
        ("eval.metrics", "planpkg.code:accuracy", {}, None),
        ("eval.metrics", "planpkg.code:per_class", {}, r"confusion matrix \(C, C\) and gives no number: TypeError"),
        ("model.head", "planpkg.code:dir", {}, "module planpkg.code has no 'dir'"),
    ],
)  # fmt: skip
def test_faults_of_own_code_are_one_line(field, name, params, message, monkeypatch):
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(Path.cwd()))])
    own_code.make_importable([name])
    found = fault(field, name, params)
    if message is None:
        assert found is None
    else:
        assert re.search(message, found), found
        assert "\n" not in found
        assert found.startswith(f"{field}: ")


def test_the_check_imports_it_once_in_a_process_of_its_own(package, capfd):
    (package / "planpkg" / "loud.py").write_text(
        "import pathlib, sys\nprint('noise')\n"
        "with open('imports.txt', 'a') as file: file.write('once ')\n"
        "class Mine:\n    def __call__(self, labels, logits): return 0.0\n"
    )
    specs = [parse({"loss": {"name": "planpkg.loud:Mine"}, "seed": seed}, "test") for seed in (0, 1)]
    check_own_code(specs)
    assert Path("imports.txt").read_text() == "once "
    assert "planpkg.loud" not in sys.modules
    assert capfd.readouterr().out == ""
    stale = json.loads(specs[0].model_dump_json())
    stale["own_code"] = {"planpkg.loud:Mine": "0" * 12}
    with pytest.raises(UsageError, match="planned was 000000000000: start a new run"):
        check_own_code([parse(stale, "test")])
    with pytest.raises(UsageError, match=r"^loss.name: module planpkg.loud has no 'Mien'"):
        check_own_code([parse({"loss": {"name": "planpkg.loud:Mien"}}, "test")])
