"""The sheet command: class colours come out exact, faults in one line."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.data.__main__ import app
from bench.data.scenes import painter


def test_sheet_shows_labels_in_their_colours(tmp_path):
    out = tmp_path / "sheet.png"
    result = CliRunner().invoke(app, ["sheet", str(out), "--columns", "2", "--rows", "1", "--split", "val"])
    assert result.exit_code == 0, result.output
    pixels = np.asarray(Image.open(out).convert("RGB"))
    for column, key in enumerate(("val-0000", "val-0063")):
        _, label = painter.read(key)
        shown = pixels[168:328, 4 + 164 * column :][:, :160]
        expected = np.array([*painter.COLORS, (255, 255, 255)])[np.minimum(label, len(painter.COLORS))]
        np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(
    "arguments", [["x.jpg"], ["x.png", "--split", "vall"], ["nowhere/x.png"], ["x.png", "--dataset", "s"]]
)
def test_faults_end_with_status_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["sheet", *arguments]).exit_code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.jpg", "absent/x.png", "there.png"])
def test_a_place_that_takes_no_sheet_is_refused_before_the_set_is_read(name, tmp_path, monkeypatch):
    """Reading takes minutes for a large set."""
    (tmp_path / "there.png").mkdir()
    monkeypatch.setattr("bench.data.__main__.load", lambda spec: pytest.fail("it is read"))
    for arguments in (["sheet", str(tmp_path / name)], ["check", "--out", str(tmp_path / name)]):
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, result.stderr.count("\n"), name in result.stderr) == (2, 1, True), result.output


def test_a_sheet_of_too_many_tiles_is_refused():
    result = CliRunner().invoke(app, ["sheet", "x.png", "--columns", "51"])
    assert (result.exit_code, "50" in result.stderr) == (2, True)
