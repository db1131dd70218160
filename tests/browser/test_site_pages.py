"""The static pages as people meet them: offline, on a phone, in the dark, with the keyboard, on paper."""

import pytest

import reports
import results
from tests.browser import chromium
from tests.browser.keyboard import key
from tests.browser.legibility import CONTRASTS
from tests.invented_runs import chosen as made

pytestmark = pytest.mark.skipif(bool(reason := chromium.missing()), reason=reason)

LONG = "16 crf(gaussian_sxy=1,gaussian_compat=1,bilateral_sxy=26,bilateral_compat=3)"
CELLS = (LONG, "dice", "focal")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Three releases: `dice` loses two points in the second, the third is on another machine and has a third cell."""
    folder = tmp_path_factory.mktemp("releases")
    runs = []
    for n, miou in enumerate((0.70, 0.68, 0.68)):
        cells = {
            name: {s: (miou + 0.0005 * (s - 1), 40.0 + 0.01 * s) for s in range(3)} for name in CELLS[: 2 + n // 2]
        }
        machine = {**made.MACHINE, "processor": "Intel Xeon"} if n == 2 else made.MACHINE
        runs.append(results.read_run(made.made_run(folder / f"0.{n}.0-candidate", cells, machine=machine)))
    reports.write(runs[0].folder)
    return reports.write_site(tmp_path_factory.mktemp("pages") / "site", runs).folder


def pages(site):
    return [site / "index.html", *sorted((site / "data").iterdir()), *sorted((site / "compare").iterdir())]


@pytest.mark.parametrize("dark", [False, True])
def test_pages_are_silent_and_legible_and_fit_a_phone(site, tmp_path, dark):
    with chromium.Page(chromium.find(), tmp_path / "profile", dark=dark) as page:
        for address in pages(site):
            page.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
            page.open(address.as_uri())
            assert page.run("document.documentElement.scrollWidth") <= 1280
            assert page.run("[...document.images].every(image => image.complete && image.naturalWidth && image.alt)")
            assert page.run("[...document.querySelectorAll('svg')].every(svg => svg.getAttribute('aria-label'))")
            assert page.run(CONTRASTS) == [], address
            page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
            assert page.run("document.documentElement.scrollWidth") <= 390, f"{address} must not scroll sideways"
            assert page.run(OUTSIDE) == [], f"{address}: text of a chart lies outside of it"
        assert [one for one in page.asked if not one.startswith(("data:", "file:", "about:"))] == []
        assert page.said == []


OUTSIDE = """
[...document.querySelectorAll("svg text")].filter((text) => {
  const inner = text.getBoundingClientRect(), outer = text.closest("svg").getBoundingClientRect();
  return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.height < 9;
}).map((text) => text.textContent)
"""


def test_a_change_leads_to_its_charts_and_the_keyboard_opens_the_numbers(site, tmp_path):
    with chromium.Page(chromium.find(), tmp_path / "profile") as page:
        page.open((site / "index.html").as_uri())
        page.follow("document.querySelector('#what-changed a')")
        assert page.run("location.pathname").endswith("/data/d.html")
        heading = page.run("document.querySelector(':target').textContent")
        assert heading in CELLS
        # From the heading on, the tab key reaches the folded numbers, whose focus is seen, and Enter opens them.
        page.run("getSelection().collapse(document.querySelector(':target'), 0)")
        key(page, "Tab", 9)
        assert page.run("document.activeElement.textContent") == f"Numbers of {heading}"
        assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        key(page, "Enter", 13)
        assert page.run("document.activeElement.parentElement.open") is True
        key(page, "Tab", 9)
        assert page.run("document.activeElement.getAttribute('role')") == "region", (
            "a wide table scrolls by the keyboard"
        )
        page.follow("document.querySelector('td a')")
        assert page.run("location.pathname").endswith("/report/report.html")
        assert page.said == []


def test_it_prints_without_its_navigation(site, tmp_path):
    with chromium.Page(chromium.find(), tmp_path / "profile") as page:
        page.open((site / "data" / "d.html").as_uri())
        page.pdf(tmp_path / "page.pdf")
        assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
        page.call("Emulation.setEmulatedMedia", media="print")
        assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
