"""The folder of static pages: complete, the same for the same runs, and never half of anything."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import reports
import results
from tests.invented_runs import chosen as made

ROOT = Path(__file__).resolve().parents[2]


def made_release(folder, miou=0.7, rate=40.0, machine=made.MACHINE, cells=("dice", "ce"), **more):
    seeds = {seed: (miou + 0.0005 * (seed - 1), rate + 0.01 * seed) for seed in range(3)}
    steady = {seed: (0.6 + 0.0005 * (1, -1, 0)[seed], 30.0 + 0.01 * seed) for seed in range(3)}
    found = {cell: seeds if cell == "dice" else steady for cell in cells}
    return results.read_run(made.made_run(folder, found, machine=machine, **more))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """`dice` loses two points in the second of four; the fourth is on another machine and has a cell of its own."""
    folder = tmp_path_factory.mktemp("runs")
    other = {**made.MACHINE, "processor": "Intel Xeon"}
    found = [
        made_release(folder / "0.1.0"),
        made_release(folder / "0.2.0", 0.68),
        made_release(folder / "0.3 <b>", 0.68),
        made_release(folder / "0.4.0", 0.68, 80.0, other, cells=("dice", "ce", "focal")),
    ]
    reports.write(found[0].folder)
    return found


@pytest.fixture(scope="module")
def site(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages") / "site"
    return reports.write_site(folder, runs).folder


def links(page):
    return re.findall(r'<a [^>]*href="([^"]*)"', page.read_text())


def unresolved(folder):
    """The links of a site's pages that lead nowhere: to no file, to no anchor, or out of the site."""
    found = []
    for page in folder.rglob("*.html"):
        for link in links(page):
            parts = urlsplit(link)
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            inside = not parts.scheme and not parts.netloc and target.is_relative_to(folder) and target.is_file()
            if not inside or (parts.fragment and f'id="{parts.fragment}"' not in target.read_text()):
                found.append((str(page.relative_to(folder)), link))
    return found


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_link_resolves_and_every_page_can_be_reached(site):
    assert unresolved(site) == []
    reached, left = set(), [site / "index.html"]
    while left:
        page = left.pop()
        if page not in reached:
            reached.add(page)
            if page.suffix == ".html":
                left += [(page.parent / unquote(urlsplit(link).path)).resolve() for link in links(page)]
    files = {path for path in site.rglob("*") if path.is_file()} - {site / "site.json"}
    assert files == {page for page in reached if page.is_file()}
    assert len(list((site / "compare").iterdir())) == 6, "any two of four"
    assert (site / "releases" / "0.1.0" / "0.1.0" / "trials" / "dice-s0" / "record.json").is_file(), (
        "linked by the report"
    )


def test_pages_make_no_request_and_take_no_name_for_markup(site):
    for page in [site / "index.html", *(site / "data").iterdir(), *(site / "compare").iterdir()]:
        text = page.read_text()
        assert "default-src 'none'" in text
        assert not re.search(r'(src|href)="(https?:|//)', text), page
        assert "<b>" not in text, page
    assert "0.3 &lt;b&gt;" in (site / "index.html").read_text()


def test_no_page_names_a_folder_of_this_machine(site, runs):
    for page in [site / "index.html", *(site / "data").iterdir(), *(site / "compare").iterdir()]:
        assert str(runs[0].folder.parent) not in page.read_text(), page


def test_charts_show_the_step_the_break_and_their_numbers_in_words(site):
    page = (site / "data" / "d.html").read_text()
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 8, "two cells of four metrics; the third cell has one release"
    (miou,) = [one for one in charts if 'aria-label="mIoU, % of dice.' in one]
    assert "0.1.0: 70.00 ±0.08; 0.2.0: 68.00 ±0.08, regressed; 0.3 <b&gt;: 68.00 ±0.08, ok" in miou
    assert miou.count('class="sign bad"') == miou.count("▼") == 1
    assert miou.count("<circle") == miou.count('class="dot"') == 4
    (speed,) = [one for one in charts if 'aria-label="images/s of dice.' in one]
    assert speed.count('class="break"') == speed.count("≠") == 1
    assert (speed.count('class="dot other"'), speed.count('class="dot"')) == (3, 1), "hollow: another machine"
    assert "not comparable: processor differs: AMD EPYC / Intel Xeon" in page
    assert "focal" in page.split("In one release", 2)[-1]
    assert "regressed: dice, mIoU 70.00 → 68.00" in (site / "index.html").read_text()


def test_a_pair_has_its_changes_as_charts(site):
    page = (site / "compare" / "0.1.0--0.2.0.html").read_text()
    assert 'aria-label="Changes of mIoU: dice -2.00 pt, regressed; ce +0.00 pt, ok."' in page
    (miou,) = re.findall(r"<svg[^>]*Changes of mIoU.*?</svg>", page, re.DOTALL)
    assert (miou.count("▼"), miou.count("<circle")) == (1, 1)
    assert "<img" not in page


def test_equal_runs_give_equal_bytes_and_a_second_run_replaces_the_first(runs, tmp_path):
    folder = tmp_path / "site"
    reports.write_site(folder, runs[:2])
    first = everything(folder)
    reports.write_site(folder, [runs[0], runs[3]])
    assert (folder / "compare" / "0.1.0--0.4.0.html").is_file()
    assert not (folder / "compare" / "0.1.0--0.2.0.html").exists(), "an earlier site is replaced, not added to"
    reports.write_site(folder, runs[:2])
    assert everything(folder) == first
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_holds_something_else_is_left_alone(runs, tmp_path):
    from reports.site.folder import check_folder

    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds mine\.txt, which is no part of a site"):
        reports.write_site(tmp_path / "notes", runs)
    with pytest.raises(ValueError, match="not a folder"):
        reports.write_site(tmp_path / "notes" / "mine.txt", runs)
    assert everything(tmp_path / "notes") == {"mine.txt": b"mine"}
    folder = tmp_path / "site"
    reports.write_site(folder, runs[:2])
    (folder / "data" / "CNAME").write_text("mine")
    with pytest.raises(ValueError, match="holds data/CNAME"):
        check_folder(folder)
    (tmp_path / "empty").mkdir()
    assert check_folder(tmp_path / "empty") == tmp_path / "empty"
    with pytest.raises(ValueError, match="a published release never changes"):
        check_folder(ROOT / "results" / "releases" / "0.1.0" / "site")


def test_a_failure_leaves_the_earlier_site_whole_and_nothing_beside_it(tmp_path):
    from reports.site.folder import write_folder

    folder = tmp_path / "site"
    write_folder(folder, {"index.html": b"old"})
    before = everything(folder)
    with pytest.raises(OSError, match="gone"):
        write_folder(folder, {"index.html": b"new", "log.txt": tmp_path / "gone"})
    assert everything(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_command_writes_the_published_releases_and_a_run_after_them(runs, tmp_path, capsys):
    from bench import site as command

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            command.main(*arguments)
        return caught.value.code

    folder = tmp_path / "pages"
    assert run(folder, [runs[0].folder]) == 0
    assert capsys.readouterr().out.startswith(f"{folder / 'index.html'}\n")
    assert unresolved(folder) == []
    index = (folder / "index.html").read_text()
    assert all(f">{version}<" in index for version in results.published())
    assert (folder / "data" / "feral_cats.html").is_file()
    size = sum(len(content) for name, content in everything(folder).items() if not name.startswith("releases/"))
    assert size < 1_000_000, "what the site adds to the reports"

    assert run(tmp_path, [tmp_path / "nothing"]) == 2  # before any run is read
    assert re.fullmatch(r"error: .* is no part of a site; name another folder or empty it\n", capsys.readouterr().err)
    assert run(Path("/proc/pages"), None) == 2
    assert capsys.readouterr().err == "error: /proc/pages: cannot write there: No such file or directory\n"
    assert run(tmp_path / "new", [tmp_path / "nothing"]) == 2
    assert not (tmp_path / "new").exists()
