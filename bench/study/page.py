"""The page of a study: its tables and its figure, filled in from the runs of its parts."""

from __future__ import annotations

import re
from pathlib import Path

import results
from bench.core import UsageError
from bench.study.definition import Study
from bench.study.parts import recorded

PAGE = Path(__file__).resolve().parents[2] / "docs" / "study.md"
FIGURE = "pictures/study-losses.png"
_BLOCK = re.compile(r"(<!-- study ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(text: str, blocks: dict[str, str]) -> str:
    """Return a page with new text between `<!-- study NAME -->` and `<!-- end -->`.

    Args:
        text: the page.
        blocks: the new text by NAME; the text of other names stays.
    """
    return _BLOCK.sub(
        lambda found: f"{found[1]}{blocks[found[2]]}\n{found[3]}" if found[2] in blocks else found[0], text
    )


def blocks(study: Study, runs: dict[str, results.Run]) -> dict[str, str]:
    """Return the tables of the page as Markdown, by name: one per part that was run, and `claims`."""
    from reports import Document, claims, markdown
    from reports import study as page

    def text(*made: object) -> str:
        return markdown.wrapped(markdown.render(Document("", [*made])).split("\n", 1)[1].strip())  # type: ignore[list-item]

    found = {name: text(*page.part(run, study.rare[name], study.parts[name].classes)) for name, run in runs.items()}
    return {**found, "claims": text(page.claims_table(claims.answers(runs, study.claims, study.rare)))}


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
            results.write_bytes(page.parent / FIGURE, theme.png(drawn))
            filled["figure"] = f"![mIoU of each loss less that of cross-entropy, by data set]({FIGURE})"
        results.write_bytes(page, fill(page.read_text(encoding="utf-8"), filled).encode())
        return True
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None
