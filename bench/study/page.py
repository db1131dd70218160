"""The page of a study: its tables and its figure, filled in from the runs of its parts."""

from __future__ import annotations

from pathlib import Path

import results
from bench.core import UsageError, nearest
from bench.study.definition import Study
from bench.study.parts import recorded

PAGE = Path(__file__).resolve().parents[2] / "docs" / "study.md"
FIGURE = "pictures/study-losses.png"


def fill(text: str, blocks: dict[str, str]) -> str:
    """Return a page with new text between `<!-- study NAME -->` and `<!-- end -->`.

    Args:
        text: the page.
        blocks: the new text by NAME.

    Raises:
        ValueError: the page has no such place, one without an end, or one of another name, whose text would be stale.
    """
    from reports import markdown

    texts = {f"study {name}": made for name, made in blocks.items()}
    if not (there := markdown.places(text, "study")):
        raise ValueError("no <!-- study NAME --> ... <!-- end --> in it")
    if unknown := [mark for mark in there if mark not in texts]:
        raise ValueError(f"<!-- {unknown[0]} -->: the study has no such part{nearest(unknown[0], texts)}")
    return markdown.filled(text, "study", texts)


def blocks(study: Study, runs: dict[str, results.Run]) -> dict[str, str]:
    """Return the tables of the page as Markdown, by name: one per part that was run, and `claims`."""
    from reports import claims, markdown
    from reports import study as page

    found = {
        name: markdown.part(page.part(run, study.rare[name], study.parts[name].classes)) for name, run in runs.items()
    }
    return {**found, "claims": markdown.part([page.claims_table(claims.answers(runs, study.claims, study.rare))])}


def write(study: Study, out: Path, page: Path, published: bool = False) -> bool:
    """Fill in the page's tables and its figure from the parts whose trials all ended. Other parts lose their tables.

    Args:
        study: the whole study.
        out: folder of the study's runs.
        page: the page.
        published: whether parts without a run are filled in from their published records.

    Returns:
        Whether there is such a part. Without one the page stays as it is.

    Raises:
        UsageError: the page cannot be read or written, or published records were changed.
    """
    from reports import losses_against, theme

    try:
        runs = {name: found for name in study.parts if (found := recorded(study, name, out, published))}
        if not runs:
            return False
        losses = {name: run for name, run in runs.items() if study.parts[name].grid == "losses-core"}
        filled = dict.fromkeys([*study.parts, "figure"], "*Not trained yet.*") | blocks(study, runs)
        if drawn := losses_against(losses, "cross_entropy"):
            picture = theme.png(drawn)
            filled["figure"] = f"![mIoU of each loss less that of cross-entropy, by data set]({FIGURE})"
        text = _filled(page, filled)
        if drawn:  # after the page is known to take it
            results.write_bytes(page.parent / FIGURE, picture)
        results.write_bytes(page, text.encode())
        return True
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None


def _filled(page: Path, blocks: dict[str, str]) -> str:
    """Return the text of a page with new tables.

    Raises:
        ValueError: as `fill`; the message names the page.
    """
    text = page.read_text(encoding="utf-8")
    try:
        return fill(text, blocks)
    except ValueError as error:
        raise ValueError(f"{page}: {error}") from None
