"""The report as people meet it: in a real browser, offline, with eyes and keyboard."""

import pytest

import reports
import results
from tests.browser import chromium
from tests.reports import fake_run as fake

pytestmark = pytest.mark.skipif(bool(reason := chromium.missing()), reason=reason)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = fake.write_run(tmp_path_factory.mktemp("runs") / "full", fail={(2, 1)}, pictures=1)
    reports.write(folder)
    return folder


@pytest.fixture
def page(run, tmp_path):
    with chromium.Page(chromium.find(), tmp_path / "profile") as page:
        page.open((run / "report" / "report.html").as_uri())
        yield page


COLUMN = "[...document.querySelector('#results tbody').rows].map(row => row.cells[{}].textContent)"


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
    assert page.run("[...document.images].every(image => image.complete && image.naturalWidth > 300 && image.alt)")
    assert page.run("document.images.length") >= 9
    assert [address for address in page.asked if not address.startswith(("data:", "file:", "about:"))] == []
    assert len([address for address in page.asked if address.startswith("file:")]) == 1
    assert page.said == []

    page.follow("[...document.querySelectorAll('#failed-trials a')].find(a => a.textContent === 'log')")
    assert "Traceback" in page.run("document.body.textContent")


def test_it_fits_a_phone_and_prints(run, page, tmp_path):
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    assert page.run("document.documentElement.scrollWidth") <= 390, "the page itself must not scroll sideways"
    page.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.said == []
