"""Data that were moved since a run was planned: where they lie now, and that nothing else changes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import results
from bench.core import UsageError, code_version
from bench.data import load
from bench.plan import Cell, Grid, moved_data
from bench.spec import parse
from results import release

HERE = {"code": code_version()}


def grid(*sections, **more):
    cells = (Cell(f"c{i}", {}, parse({"data": data, **more}, "test")) for i, data in enumerate(sections))
    return Grid("g", "", "smoke", 1, tuple(cells))


def record(version, **more):
    dataset = {"name": "d", "version": version, "class_names": ["a"], "colors": [(0, 0, 0)]}
    fields = {"trial": "t", "cell": "c", "label": "l", "axes": {}, "seed": 0, "spec": {}, "status": "ok"}
    return results.Record(**{**fields, "dataset": dataset, "environment": HERE, **more})


def test_a_cell_does_not_depend_on_where_its_data_lie_and_remembers_where_they_lay(tmp_path):
    before = grid({"dataset": "folder", "root": "/old/cats"}, {"dataset": "scenes"})
    after = moved_data.moved(before, moved_data.to(tmp_path / "animals", before))
    assert [cell.spec.cell for cell in after.cells] == [cell.spec.cell for cell in before.cells]
    assert [cell.spec.cell for cell in after.cells] == [
        parse(c.spec.model_dump(mode="json"), "t").cell for c in after.cells
    ]
    data = after.cells[0].spec.data
    assert (data.root, data.planned_root, data.name) == (str(tmp_path / "animals"), "/old/cats", "cats")
    assert after.cells[1] == before.cells[1]
    again = moved_data.moved(after, moved_data.to(Path("/third"), after)).cells[0].spec.data
    assert (again.root, again.planned_root, again.name) == ("/third", "/old/cats", "cats")
    assert moved_data.to(Path("/old/cats"), before) == {}


def test_several_folders_move_with_the_one_that_holds_them(tmp_path):
    before = grid({"dataset": "folder", "root": "/data/a/cats"}, {"dataset": "folder", "root": "/data/dogs"})
    (tmp_path / "a" / "cats").mkdir(parents=True)
    with pytest.raises(
        UsageError, match=r"no folder \S+/dogs there for data.root /data/dogs; .*the folder that /data is"
    ):
        moved_data.to(tmp_path, before)
    (tmp_path / "dogs").mkdir()
    assert moved_data.to(tmp_path, before) == {"/data/a/cats": f"{tmp_path}/a/cats", "/data/dogs": f"{tmp_path}/dogs"}


def test_a_run_without_a_folder_has_nothing_to_move(tmp_path):
    with pytest.raises(UsageError, match=r"^--data-root .*: the run reads no data folder; leave the option out$"):
        moved_data.to(tmp_path, grid({"dataset": "scenes"}))


def test_moves_follow_each_other():
    assert moved_data.joined({"/a": "/b", "/x": "/y"}, {"/b": "/c"}) == {"/a": "/c", "/b": "/c", "/x": "/y"}
    assert moved_data.joined({}, {"/a": "/b"}) == {"/a": "/b"}


def test_other_content_is_refused_but_for_records_of_other_code():
    data = {"spec": SimpleNamespace(version="v2")}
    moved_data.check_content(Path("now"), [record("v2"), record("v1", environment={"code": "other"})], data)
    moved_data.check_content(Path("now"), [record("v1", dataset=None)], data)
    for status in ("ok", "crashed"):
        error = None if status == "ok" else {"kind": "RuntimeError", "message": "m"}
        with pytest.raises(
            UsageError, match=r"^--data-root now: holds another set \(version v2\) than .* \(version v1\)"
        ):
            moved_data.check_content(Path("now"), [record("v2"), record("v1", status=status, error=error)], data)


@pytest.mark.parametrize("field", ["train.init_from", "model.weights"])
def test_files_of_weights_that_are_gone_are_named_with_what_helps(tmp_path, field):
    place = tmp_path / "w.weights.h5"
    section, name = field.split(".")
    planned = grid({"dataset": "scenes"}, **{section: {name: str(place)}})
    with pytest.raises(UsageError, match=rf"^cell 'c0': {field} {place}: no longer there; .* or a link in its place$"):
        moved_data.check_places(planned)
    place.touch()
    moved_data.check_places(planned)


def test_a_public_set_keeps_its_name_wherever_it_lies(tmp_path):
    """Its cells were named by the folder it lay in; reports call it by its own name."""
    root = tmp_path / "here"
    for split in ("train", "val", "test"):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
            pixels = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64) % 11
            Image.fromarray(pixels).convert("RGB" if folder == split else "L").save(root / folder / f"{split}.png")
    before = grid({"dataset": "camvid", "root": str(root)})
    root.rename(tmp_path / "there")
    after = moved_data.moved(before, moved_data.to(tmp_path / "there", before))
    assert load(after.cells[0].spec.data).name == "camvid"


def test_a_release_names_neither_the_old_place_nor_the_new(tmp_path):
    spec = {"data": {"root": "/new/cats", "planned_root": "/old/cats"}}
    run = results.Run(
        tmp_path, {"moved": {"/old/dogs": "/new/dogs"}}, [results.Stored(tmp_path, record("v", spec=spec))]
    )
    text = b"/new/cats/a.png /old/cats /old/dogs /new/dogs"
    assert release._without_places(text, release._places(run)) == b"cats/a.png cats dogs dogs"
