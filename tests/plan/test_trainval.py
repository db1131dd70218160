"""A grid whose cells train on val has nothing left to choose or to compare by: it is refused before data are read."""

import pytest
import yaml

from bench.core import UsageError
from bench.plan import checks, grid
from bench.plan.until import Until

BASE = {"data.train_on": "trainval", "eval.keep_checkpoint": "last"}


def _grid(tmp_path, **keys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"base": BASE, "axes": {"loss": ["dice", "cross_entropy"]}, **keys}))
    return grid.load(str(path), preset="smoke")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"search": {"values": [0.1, 0.2]}}, "data.train_on trainval leaves no val to choose train.learning_rate by"),
        ({"until": {"question": "best"}}, "leaves no val to decide by; take a fixed number of seeds"),
        (
            {"base": {"eval.keep_checkpoint": "last"}, "axes": {"data.train_on": ["train", "trainval"]}},
            "cell 'trainval': .* leaves no val to compare it with the others on",
        ),
    ],
)
def test_what_chooses_or_compares_by_val_is_refused(tmp_path, keys, why):
    with pytest.raises(UsageError, match=why) as told:
        checks.check_inputs(_grid(tmp_path, **keys))
    assert "\n" not in str(told.value)


def test_a_grid_of_its_own_is_accepted(tmp_path):
    found = _grid(tmp_path)
    assert found.until is None
    (data,) = checks.check_inputs(found).values()
    assert "val" in data.splits
    with pytest.raises(UsageError, match="to decide by"):
        checks.check_inputs(grid.Grid(**{**vars(found), "until": Until()}))
