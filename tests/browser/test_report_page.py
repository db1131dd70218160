"""The report as people meet it: in a real browser, offline, with eyes, mouse and keyboard."""

import csv
import time

import numpy as np
import pytest
from PIL import Image

import reports
import results
from tests.browser import chromium
from tests.browser.keyboard import key
from tests.browser.legibility import CONTRASTS
from tests.invented_runs import lifelike as fake

pytestmark = pytest.mark.skipif(bool(reason := chromium.missing()), reason=reason)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = fake.write_run(tmp_path_factory.mktemp("runs") / "full", fail={(2, 1)}, pictures=2)
    reports.write(folder)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.Page(chromium.find(), tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page


@pytest.fixture
def page(run, browser):
    browser.said.clear()
    browser.asked.clear()
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    browser.call("Emulation.setEmulatedMedia", media="")
    browser.open((run / "report" / "report.html").as_uri())
    return browser


COLUMN = "[...document.querySelector('#results tbody').rows].map(row => row.cells[{}].textContent)"
TIP = "document.querySelector('.tip.on')?.textContent ?? ''"
CHART = "document.querySelector('#{} svg.plot')"


def point(page, script, kind="mouseMoved", at=0.5, **more):
    """Move the mouse over an element, `at` of its width from the left."""
    page.run(f"({script}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
    x, y = page.run(f"(r => [r.x + {at} * r.width, r.y + r.height / 2])(({script}).getBoundingClientRect())")
    page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def test_the_page_works_offline_and_in_silence(run, page):
    # A click on a head sorts by that column: numbers best first, words from A, then the other way round.
    means = results.load(run).groupby("label")["miou"].mean().sort_values(ascending=False)
    first = "document.querySelectorAll('#results th button')[{}]"
    assert page.run(COLUMN.format(0)) == means.index.tolist()
    page.click(first.format(1))
    assert page.run(COLUMN.format(0)) == means.index.tolist()
    page.click(first.format(1))
    assert page.run(COLUMN.format(0)) == means.index.tolist()[::-1]
    page.click(first.format(0))
    assert page.run(COLUMN.format(0)) == sorted(means.index)
    assert page.run("[...document.querySelectorAll('#results th')].map(th => th.ariaSort)")[:2] == ["ascending", None]

    # A cell leads to its trials, which unfold; a failed one to its log.
    assert page.run("document.querySelector('#trials details').open") is False
    page.click("[...document.querySelectorAll('#results td a')].find(a => a.textContent === 'bce')")
    assert page.run("document.querySelector('#trials details').open") is True
    assert page.run("document.querySelector(':target').textContent") == "bce"

    # Everything shown came with the page: no request but the page itself and its embedded data.
    figures = "[...document.querySelectorAll('figure > img')]"
    assert page.run(f"{figures}.every(image => image.complete && image.naturalWidth > 300 && image.alt)")
    assert page.run("document.querySelectorAll('svg.plot').length") == 8
    assert [address for address in page.asked if not address.startswith(("data:", "file:", "about:"))] == []
    assert len([address for address in page.asked if address.startswith("file:")]) == 1
    assert page.said == []

    page.follow("[...document.querySelectorAll('#failed-trials a')].find(a => a.textContent === 'log')")
    assert "Traceback" in page.run("document.body.textContent")


def test_only_the_page_s_own_style_and_scripts_may_run(page):
    page.run(
        "addEventListener('securitypolicyviolation', (event) => (window.seen ??= []).push(event.effectiveDirective))"
    )
    probe = "<p id=probe style='color: rgb(1, 2, 3)' onclick='hit = 1'>x"
    page.run(f"document.body.insertAdjacentHTML('beforeend', `{probe}`)")
    page.click("document.querySelector('#probe')")
    page.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hit = 2'}))")
    page.run("fetch('https://example.org/').catch(() => 0)")
    page.run("new Promise((done) => setTimeout(done, 50))")
    assert page.run("window.hit === undefined")
    assert page.run("getComputedStyle(document.querySelector('#probe')).color") != "rgb(1, 2, 3)"
    assert {"style-src-attr", "script-src-attr", "script-src-elem", "connect-src"} <= set(page.run("seen"))


def test_a_chart_tells_its_values_to_mouse_and_keyboard(run, page):
    means = results.load(run).groupby("label")["miou"].mean().sort_values(ascending=False)
    best = means.index[0]
    row = f"{CHART.format('miou-by-cell')}.querySelector('.row')"
    point(page, f"{row}.querySelector('.mean')")
    assert page.run(TIP).startswith(f"{best}: mean {100 * means.iloc[0]:.2f} % (")
    # Near a value is enough, far from all there is none.
    box = page.run(
        f"(r => [r.x + r.width / 2, r.y + r.height / 2])({row}.querySelector('.mean').getBoundingClientRect())"
    )
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=box[1])
    assert page.run(TIP) == ""

    # One tab stop; the arrows go from value to value, and from cell to cell; Escape ends it.
    page.run(f"{CHART.format('miou-by-cell')}.focus()")
    key(page, "ArrowRight", 39)
    assert page.run(TIP).startswith(f"{best}: mean ")
    key(page, "ArrowRight", 39)
    seed = results.load(run).query("label == @best and seed == 0")["miou"].iloc[0]
    assert page.run(TIP) == f"{best}, seed 0: {100 * seed:.2f} %"
    key(page, "ArrowDown", 40)
    assert page.run(TIP).startswith(f"{means.index[1]}: mean ")
    assert page.run("document.querySelector('.tip').getAttribute('role')") == "status", "screen readers hear it"
    key(page, "Escape", 27)
    assert page.run(TIP) == ""
    # What a chart shows is a table, too.
    told = f"document.getElementById({CHART.format('miou-by-cell')}.getAttribute('aria-details'))"
    assert page.run(f"{told}.querySelector('tbody').rows.length") == len(means)
    assert page.said == []


def test_a_cell_is_switched_off_everywhere_at_once(page):
    there = page.run("[...document.querySelectorAll('[data-cell]')].filter(e => e.dataset.cell === '01cell').length")
    assert there >= 20
    height = page.run(f"{CHART.format('miou-by-cell')}.viewBox.baseVal.height")
    frontier = "document.querySelector('#throughput-against-miou .frontier').getAttribute('d')"
    page.click("document.querySelector('#switches > summary')")
    switch = "[...document.querySelectorAll('#switches button')].find(b => b.textContent === '{}')"
    page.click(switch.format("dice"))
    shown = "[...document.querySelectorAll('[data-cell]')].filter(e => getComputedStyle(e).display !== 'none')"
    cells = f"[...new Set({shown}.map(e => e.dataset.cell))].sort()"
    assert page.run(cells) == [f"{n:02d}cell" for n in (0, 2, 3, 4, 5, 6)]
    assert "dice" not in page.run(
        "[...document.querySelectorAll('#results tbody tr:not([hidden]) td:first-child')].map(td => td.textContent)"
    )
    assert page.run(f"{CHART.format('miou-by-cell')}.viewBox.baseVal.height") == height - 30, "the gap closes"
    pressed = (
        "[...document.querySelectorAll('[data-switch=\"01cell\"] button')].map(b => b.getAttribute('aria-pressed'))"
    )
    assert set(page.run(pressed)) == {"false"}
    assert page.run("document.querySelector('#switches summary').textContent") == "Cells: 6 of 7 shown"

    # The legend of a chart is a switch, too. The line of the best is drawn anew through what is left.
    page.click(switch.format("Hide all"))
    assert page.run(cells) == []
    assert page.run(frontier) == ""
    page.run("document.querySelector('#switches').open = false")
    page.click("document.querySelector('#throughput-against-miou [data-switch=\"01cell\"] button')")
    assert page.run(cells) == ["01cell"]
    at = page.run("document.querySelector('#throughput-against-miou [data-cell=\"01cell\"]').dataset.at")
    assert page.run(frontier) == f"M{' '.join(f'{float(number):g}' for number in at.split())}"
    page.run("document.querySelector('#switches summary').focus()")
    key(page, "Enter", 13)
    page.click(switch.format("Show all"))
    assert len(page.run(cells)) == 7
    key(page, "Escape", 27)
    assert page.run("document.querySelector('#switches').open") is False
    assert page.said == []


VIEWER = "document.querySelector('.viewer')"
CHOOSE = f"""(n, text) => {{
  const select = {VIEWER}.querySelectorAll('select')[n];
  select.value = [...select.options].find((option) => option.text === text).value;
  select.dispatchEvent(new Event('change'));
  return new Promise((done) => setTimeout(done, 100));
}}"""
PIXELS = f"""(n) => {{
  const canvas = {VIEWER}.querySelectorAll('canvas')[n];
  return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
}}"""


def pixels(page, side):
    """The colours of a layer, (96, 128, 3)."""
    return np.array(page.run(f"({PIXELS})({side})"), np.uint8).reshape(96, 128, 4)[..., :3]


def test_pictures_are_compared_with_a_border_that_moves(run, page):
    record = results.read(run / "trials" / "dice-s0")
    colors = np.full((256, 3), 150)
    colors[: len(record.dataset.colors)] = record.dataset.colors
    maps = {
        kind: np.asarray(Image.open(run / "trials" / "dice-s0" / "pictures" / f"1-{kind}.png"))
        for kind in ("truth", "prediction")
    }
    page.run(f"({CHOOSE})(0, '2 of 2: img1')")
    page.run(f"({CHOOSE})(2, 'dice')")  # the prediction, which comes before the errors
    np.testing.assert_array_equal(pixels(page, 0), colors[maps["truth"]])
    np.testing.assert_array_equal(pixels(page, 1), colors[maps["prediction"]])
    score = page.run(f"{VIEWER}.querySelectorAll('.words p')[1].textContent")
    assert score.startswith("Right: prediction of dice. mIoU of this picture ")

    # One class alone; then its hits, misses and false alarms.
    page.run(f"({CHOOSE})(3, 'building')")
    np.testing.assert_array_equal((pixels(page, 0) == colors[2]).all(-1), maps["truth"] == 2)
    page.run(f"{VIEWER}.querySelectorAll('select')[2].value = 'errors 01cell'")
    page.run(f"({CHOOSE})(3, 'building')")
    found = pixels(page, 1)
    for color, where in (
        ((2, 158, 115), (maps["truth"] == 2) & (maps["prediction"] == 2)),
        ((222, 143, 5), (maps["truth"] == 2) & (maps["prediction"] != 2)),
        ((122, 81, 149), (maps["truth"] != 2) & (maps["prediction"] == 2) & (maps["truth"] != 255)),
    ):
        np.testing.assert_array_equal((found == color).all(-1), where)
        assert where.any()

    # The border follows the mouse, and the arrow keys on its slider.
    clip = f"{VIEWER}.querySelector('.over').style.clipPath"
    assert page.run(clip) == "inset(0px 0px 0px 50%)"
    stage = f"{VIEWER}.querySelector('.stage')"
    point(page, stage, "mousePressed", 0.25, button="left", clickCount=1)
    point(page, stage, "mouseReleased", 0.25, button="left", clickCount=1)
    assert page.run(clip) == "inset(0px 0px 0px 25%)"
    page.run(f"{VIEWER}.querySelector('input[type=range]').focus()")
    key(page, "ArrowRight", 39)
    assert page.run(clip) == "inset(0px 0px 0px 26%)"

    # A cell that is switched off is not offered.
    page.run("document.querySelector('[data-switch=\"01cell\"] button').click()")
    assert "dice" not in page.run(f"[...{VIEWER}.querySelectorAll('select')[1].options].map(o => o.text)")
    assert [said for said in page.said if "Multiple readback" not in said] == [], "but for what this test reads"


def test_a_table_is_downloaded_as_it_is_shown(page, tmp_path):
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.click("document.querySelectorAll('#results th button')[0]")  # in another order
    page.run("document.querySelector('[data-switch=\"01cell\"] button').click()")  # without dice
    page.click("document.querySelector('#results .csv')")
    until = time.monotonic() + 60
    while not (files := [*tmp_path.glob("*.csv")]) and time.monotonic() < until:
        page.run("new Promise((done) => setTimeout(done, 20))")
    with open(files[0], encoding="utf-8-sig", newline="") as file:
        head, *lines = csv.reader(file)
    assert files[0].name == "full-results.csv"
    rows = "[...document.querySelector('#results table').rows].filter(row => !row.hidden)"
    seen = page.run(f"{rows}.map(row => [...row.cells].map(cell => cell.textContent))")
    assert [head, *lines] == [[text.replace("\xa0", " ").replace("–", "").strip() for text in row] for row in seen]
    assert [line[0] for line in lines] == sorted(set(fake.LABELS) - {"dice"})
    assert page.said == []


def test_without_javascript_the_page_is_whole(run, page):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open((run / "report" / "report.html").as_uri())
        visible = "[...document.querySelectorAll('{}')].filter(e => e.checkVisibility()).length"
        assert page.run(visible.format("svg.plot")) == 8
        assert page.run(visible.format("figure > img")) == 1, "the pictures"
        assert page.run(visible.format("#switches, .viewer, .csv")) == 0, "what would not work is not offered"
        assert page.run("document.querySelector('svg.plot .datum title').textContent").count("mean") == 1
        assert page.run(visible.format("#results tbody tr")) == 7
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_and_what_is_used_has_a_name(page, scheme):
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.run(CONTRASTS) == []
    controls = "[...document.querySelectorAll('button, select, input, summary, [tabindex]')]"
    controls += ".filter(e => e.checkVisibility())"
    nameless = f"{controls}.filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label')))"
    assert page.run(f"{controls}.length") > 40
    assert page.run(f"{nameless}.map(e => e.outerHTML)") == []
    ids = "[...document.querySelectorAll('[id]')].map(e => e.id)"
    assert page.run(f"{ids}.filter((id, place, all) => all.indexOf(id) !== place)") == []


def test_it_fits_a_phone_and_prints(run, page, tmp_path):
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    assert page.run("document.documentElement.scrollWidth") <= 390, "the page itself must not scroll sideways"
    texts = "[...document.querySelectorAll('svg.plot text')].filter(t => t.checkVisibility())"
    texts += ".filter(t => t.getBoundingClientRect().height < 9)"
    assert page.run(f"{texts}.map(t => t.textContent)") == []
    wide = "e => [...e.querySelectorAll('.drawing')].some(d => d.scrollWidth > d.clientWidth)"
    hint = "e => getComputedStyle(e.querySelector('figcaption'), '::before').content.includes('Swipe')"
    found = page.run(f"[...document.querySelectorAll('figure.chart')].map(e => [({wide})(e), ({hint})(e)])")
    page.call("Emulation.setDeviceMetricsOverride", width=630, height=844, deviceScaleFactor=1, mobile=True)
    page.run("new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    found += page.run(f"[...document.querySelectorAll('figure.chart')].map(e => [({wide})(e), ({hint})(e)])")
    assert {tuple(one) for one in found} == {(True, True), (False, False)}, "a hint to swipe, where that shows more"
    page.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.said == []


def test_two_runs_share_a_page(run, page, tmp_path):
    other = fake.write_run(tmp_path / "other", labels=["dice", "mine"], pictures=1)
    reports.write_together([run, other], tmp_path / "both")
    page.open((tmp_path / "both" / "report" / "report.html").as_uri())
    switches = page.run("[...document.querySelectorAll('#switches [data-switch]')].map(item => item.textContent)")
    assert {"dice (full)", "dice (other)", "mine", "bce"} <= set(switches)
    page.follow("[...document.querySelectorAll('#failed-trials a')].find(a => a.textContent === 'log')")
    assert "Traceback" in page.run("document.body.textContent")
    assert page.said == []
