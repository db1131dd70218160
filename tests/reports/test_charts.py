"""The charts and the picture viewer of the HTML page: what they hold, without a browser."""

import base64
import hashlib
import json
import math
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

import results
from reports import charts, html, markdown
from reports.charts.axes import Axis
from reports.document import Document, Heading, Table, words
from reports.pages import run as page
from reports.summary import summarize
from reports.viewing import viewer
from tests.invented_runs import lifelike as fake


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = fake.write_run(tmp_path_factory.mktemp("runs") / "r", fail={(2, 1)}, gradient=True, views=("os16",))
    return results.read_run(made)


@pytest.fixture(scope="module")
def plots(run):
    summary = summarize(run)
    names = ["miou", "best", "throughput", "views", "curves", "classes", "confusion", "gradient", "steps", "memory"]
    return charts.draw(run, summary, {f"{name}.png": f"What {name} shows." for name in names})


def test_every_figure_has_a_chart_whose_values_are_told(plots):
    assert len(plots) == 10
    for name, plot in plots.items():
        assert plot.svg.get("aria-label") == f"What {name.removesuffix('.png')} shows."
        data = [one for one in plot.svg.iter("g") if one.get("class") == "datum"]
        assert data, name
        assert all(one.find("title").text for one in data)
        assert "nan" not in "".join(value for one in plot.svg.iter() for value in one.attrib.values()), name


def test_the_numbers_of_a_chart_are_those_of_the_records(run, plots):
    frame = results.trials(run.trials)
    frame = frame[(frame["split"] == "val") & (frame["view"] == "default") & (frame["status"] == "ok")]
    table = plots["miou.png"].numbers
    assert table.head[-3:] == ["seed 0", "seed 1", "seed 2"]
    for row, cell in zip(table.rows, table.cells, strict=True):
        own = frame[frame["cell"] == cell].set_index("seed")["miou"]
        for seed, field in enumerate(row[-3:]):
            assert field.value == pytest.approx(100 * own[seed]) if seed in own else math.isnan(field.value)
        assert row[1].value == pytest.approx(100 * own.mean())
    titles = [title.text for title in plots["miou.png"].svg.iter("title")]
    assert sum(", seed " in title for title in titles) == 20, "one of 21 trials failed"


@pytest.mark.parametrize(
    ("name", "pattern"), [("miou.png", r", seed \d: ([\d.]+) %"), ("best.png", r": ([-+\d.]+) points")]
)
def test_a_value_lies_where_the_axis_says(plots, name, pattern):
    svg = plots[name].svg
    foot = next(one for one in svg.iter("g") if one.get("class") == "foot")
    ticks = [(float(text.text), float(text.get("x"))) for text in foot.iter("text") if text.get("class") != "title"]
    (low, left), (high, right) = ticks[0], ticks[-1]
    places = {}
    for datum in (one for one in svg.iter("g") if one.get("class") == "datum"):
        if found := re.search(pattern, datum.find("title").text):
            places[float(found[1])] = float(re.search(r"translate\(([\d.]+)", datum.find("path").get("transform"))[1])
    assert len(places) > 5
    for value, place in places.items():
        assert place == pytest.approx(left + (value - low) / (high - low) * (right - left), abs=1)


def test_what_a_chart_shows_of_a_cell_carries_its_key(run, plots):
    cells = {one.record.cell for one in run.trials}
    for name, plot in plots.items():
        marked = {one.get("data-cell") for one in plot.svg.iter("g")} - {None}
        if name != "confusion.png":
            assert marked == cells - ({plots["miou.png"].numbers.cells[0]} if name == "best.png" else set()), name
        assert set(plot.numbers.cells) <= cells


def test_an_axis_puts_values_where_they_belong():
    line = Axis.over([2.0, 4.0, math.nan], 100, 300)
    assert (line.low, line.high) == (pytest.approx(1.88), pytest.approx(4.12))
    assert line(3) == pytest.approx(200)
    assert Axis.over([50.0, 100.0], 0, 106, zero=True)(50) == pytest.approx(50)
    log = Axis(1, 100, 0, 10, log=True)
    assert log(10) == pytest.approx(5)
    assert [text for _, text in log.ticks()] == ["1", "3", "10", "30", "100"]
    assert Axis.over([5.0], 0, 10)(5) == pytest.approx(5), "one value is in the middle"
    assert [text for _, text in Axis(0, 20000, 0, 1).ticks()][-1] == "20\N{THIN SPACE}000"


def test_a_viewer_has_the_label_maps_and_their_scores(run):
    summary = summarize(run)
    found = viewer(run, summary, charts.keys(summary))
    assert [shot.name for shot in found.shots] == ["img0", "img1"]
    assert [key.cell for key in found.keys] == [cell.key for cell in summary.measured]
    stored = next(one for one in run.trials if one.record.trial == "dice-s0")
    files = {
        artefact.kind: results.artefact_path(stored, artefact)
        for artefact in stored.record.artefacts
        if artefact.meta.get("order") == 1
    }
    from PIL import Image

    truth, ids = (np.asarray(Image.open(files[kind])) for kind in ("truth", "prediction"))
    shot = found.shots[1]
    assert shot.size == (128, 96)
    assert (shot.truth, shot.predictions["01cell"]) == (truth.tobytes(), ids.tobytes())
    known = truth != 255
    of_road = 100 * ((truth == 1) & (ids == 1)).sum() / (((truth == 1) | (ids == 1)) & known).sum()
    assert shot.scores["01cell"][2] == pytest.approx(of_road, abs=0.051)
    # The page holds them packed, as data that runs nothing and ends no element.
    evil = replace(found, classes=(("</script><b>", (0, 0, 0)), *found.classes[1:]))
    text = html.render(Document("</script>", [evil]))
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', text)[1])
    assert data["classes"][0] == ["</script><b>", 0, 0, 0]
    assert zlib.decompress(base64.b64decode(data["shots"][1]["truth"])) == truth.tobytes()
    assert markdown.render(Document("t", [found])) == "# t\n"


def test_the_policy_names_every_style_and_script_and_nothing_else(run, plots):
    summary = summarize(run)
    drawn = dict.fromkeys(plots, b"")
    extras = page.Extras(keys=charts.keys(summary), plots=plots, viewers=[viewer(run, summary, charts.keys(summary))])
    text = html.render(page.document(run, summary, drawn, (), extras))
    policy = re.search(r'Content-Security-Policy" content="(.*?)"|content="([^"]*)" http-equiv', text)
    policy = policy[1] or policy[2]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src ")
    for tag in ("style", "script"):
        inner = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digests = [f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in inner]
        assert digests
        assert f"{tag}-src {' '.join(digests)}" in policy
    assert not re.search(r'<[^>]*\s(style|on\w+)="', re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL))
    assert sum(len(script) for script in re.findall(r"<script>(.*?)</script>", text, re.DOTALL)) < 60_000


def test_a_page_without_charts_has_no_use_for_their_scripts():
    text = html.render(Document("t", [Heading("a"), Table(["b"], [["c"]])]))
    assert text.count("<script>") == 1
    assert "<svg" not in text


def test_the_other_cells_table_of_a_report_hides_rows_with_the_cells(run):
    summary = summarize(run)
    blocks = page.document(run, summary, {"views.png": b""}).blocks
    tables = [block for block in blocks if isinstance(block, Table) and "cell" in block.head]
    assert len(tables) >= 4
    for table in tables:
        assert len(table.cells) == len(table.rows), table.head
        labels = {cell.key: cell.label for cell in summary.cells}
        for row, cell in zip(table.rows, table.cells, strict=True):
            first = row[0]
            assert words(getattr(first, "text", first) if not isinstance(first, str) else first) == labels[cell]


def test_times_to_a_target_are_a_stair_with_crosses(tmp_path):
    from tests.results.test_targets import _run

    stored = results.read_run(_run(tmp_path, {"dice": "100 110 120", "bce": "50 90+ 40 45+", "focal": "9+ 9+ 9+"}))
    summary = summarize(stored)
    plot = charts.draw(stored, summary, {"targets.png": "Times."})["targets.png"]
    told = sorted(title.text for title in plot.svg.iter("title"))
    assert [text for text in told if text.startswith("dice")] == [
        f"dice: {share} % of the seeds by step {step}" for share, step in ((100, 120), (33, 100), (67, 110))
    ]
    assert "bce: a seed ended at step 90 without the target" in told
    assert sum(text.startswith("focal: a seed ended at step 9") for text in told) == 3
    places = [[float(one) for one in key.get("d")[1:].replace("L", " ").split()] for key in plot.svg.iter("path")
              if key.get("class") == "course"]  # fmt: skip
    assert all(stair[::2] == sorted(stair[::2]) for stair in places), "time goes on"
    assert all(stair[1::2] == sorted(stair[1::2], reverse=True) for stair in places), "and the share rises"
