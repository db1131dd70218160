"""Run folders, grids and data sets may come from others: reading them runs nothing, and writes nowhere else."""

import ast
from pathlib import Path

import numpy as np
import pytest

from bench.core import CHECKPOINT_FILE, UsageError, read_checkpoint
from bench.execution import RunFolder
from bench.plan import grid

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = [
    path for room in ("bench", "losses", "models", "results", "reports") for path in (PROJECT / room).rglob("*.py")
]


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_with_a_pickle_inside_is_not_opened(tmp_path):
    state = np.frombuffer(b'{"history": []}', np.uint8)
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.savez(tmp_path / CHECKPOINT_FILE, state=state, **{"model/0": trap})
    assert read_checkpoint(tmp_path) is None
    assert not (tmp_path / "sprung").exists()
    np.load(tmp_path / CHECKPOINT_FILE, allow_pickle=True)["model/0"]
    assert (tmp_path / "sprung").exists()  # the trap works


@pytest.mark.parametrize("key", ["description", "axes"])
def test_yaml_that_would_run_something_is_refused(tmp_path, key):
    path = tmp_path / "g.yaml"
    path.write_text(
        f"{key}: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{tmp_path}/x]]\n"
    )
    with pytest.raises(UsageError, match="not readable as YAML"):
        grid.load(str(path))
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text("{}")
    path.rename(tmp_path / "r" / "grid.yaml")
    with pytest.raises(UsageError, match="not the resolved grid"):
        RunFolder.open(tmp_path / "r").grid()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("label", ["../../escape", "/etc/passwd", "..", "a/../b", "\x00\n"])
def test_a_label_is_no_path(tmp_path, label):
    name, _ = grid.Cell(label, {}, grid.single([], "smoke", "float32")).trial(0)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert name not in (".", "..")


def test_a_record_that_names_another_folder_moves_nothing(tmp_path):
    record = (PROJECT / "tests" / "results" / "records" / "v1.json").read_text()
    for name in ("mine", "dice-fa6ee6-s0"):
        (tmp_path / "trials" / name).mkdir(parents=True)
        (tmp_path / "trials" / name / "record.json").write_text(record)
    assert [found.trial for found in RunFolder(tmp_path).complete()] == ["dice-fa6ee6-s0"]


def test_sources_unpickle_nothing_and_load_yaml_safely():
    for path in SOURCES:
        allowed = {"pickle"} if path.name == "torch_state.py" else set()  # a reader that knows tensors alone
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.partition(".")[0] for alias in node.names} | {getattr(node, "module", None)}
                assert not names & ({"pickle", "dill", "cloudpickle", "joblib", "shelve"} - allowed), path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"), path
                assert not any(keyword.arg == "allow_pickle" and keyword.value.value for keyword in node.keywords), path
