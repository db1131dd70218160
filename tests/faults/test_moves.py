"""The real command on data that are moved between two calls of it."""

import json

import numpy as np
from PIL import Image

import results
from bench import run
from tests.commands.here import call
from tests.faults.driver import Driver


def _set(root, value):
    """Two pairs of pictures of this grey."""
    mask = np.zeros((40, 40), np.uint8)
    mask[:20] = 1
    for key in ("a", "b"):
        for folder, pixels in (("images", np.full((40, 40, 3), value, np.uint8)), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / folder / f"{key}.png")
    (root / "train.txt").write_text("a\n")
    (root / "val.txt").write_text("b\n")


def test_a_run_goes_on_and_grows_where_its_data_were_moved_to(tmp_path, monkeypatch, capsys):
    _set(tmp_path / "cats", 7)
    _set(tmp_path / "dogs", 8)
    for name, losses in (("small", "[dice]"), ("large", "[dice, focal]")):
        (tmp_path / f"{name}.yaml").write_text(f"axes: {{loss: {losses}}}\nbase: {{data.size: 64, data.crop: 64}}\n")
    data = ("--dataset", "folder", "--data-root", "cats")
    arguments = ("--grid", "small.yaml", "--preset", "smoke", "--seeds", 1, "--gpus-per-trial", 0, "--name", "r")
    driver = Driver(tmp_path, *arguments, *data)
    assert driver.end()[0] == 0
    (kept,) = driver.run.glob("trials/*/record.json")
    before = kept.read_bytes()
    (tmp_path / "there").mkdir()
    now = (tmp_path / "cats").rename(tmp_path / "there" / "animals")

    resume = ("--resume", "runs/r", "--seeds", 2, "--grid", "large.yaml")
    planned = {name: (driver.run / name).read_bytes() for name in ("run.json", "grid.yaml")}
    for more, reason in [
        ((), f"data.root {tmp_path}/cats: no such folder; if it was moved, give its new path with --data-root"),
        (("--data-root", "dogs"), "--data-root dogs: holds another set"),
        (("--data-root", "nowhere"), f"data.root {tmp_path}/nowhere: no such folder"),
    ]:
        status, _, told = call(run.main, *resume, *more, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
        assert (status, told.count("\n")) == (2, 1), told
        assert reason in told
        assert {name: (driver.run / name).read_bytes() for name in planned} == planned, (
            "what is refused changes nothing"
        )

    status, output = Driver(tmp_path, *resume, "--data-root", "there/animals").end()
    assert status == 0, output
    assert "1 of 4 trials are complete and kept" in output
    assert kept.read_bytes() == before
    records = [results.read(path) for path in driver.run.glob("trials/*/record.json")]
    assert sorted((one.label, one.seed) for one in records) == [(n, s) for n in ("dice", "focal") for s in (0, 1)]
    assert {one.spec["data"]["root"] for one in records} == {str(tmp_path / "cats"), str(now)}
    assert len({one.cell for one in records}) == 2, "a cell is a label's, wherever its data lay"
    manifest = json.loads((driver.run / "run.json").read_text())
    began, further = manifest["command"].split(" && ")
    assert "--name r" in began
    assert further == "python -m bench.run --resume runs/r --grid large.yaml --seeds 2 --data-root there/animals"
    assert manifest["moved"] == {str(tmp_path / "cats"): str(now)}

    monkeypatch.setattr("ray.init", None)  # a complete run needs no Ray
    (driver.run / "report" / "report.md").unlink()
    again = ("--resume", "runs/r", "--grid", "large.yaml")
    status, told, _ = call(run.main, *again, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert status == 0, told
    assert "4 of 4 trials are complete and kept" in told
    assert "0 trials to do" in told
    assert (driver.run / "report" / "report.md").exists()
