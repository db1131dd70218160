"""Reports of runs, made from their records and artefacts alone.

`write(run)` writes `report.md` and `report.html` of a run. `write_together(runs, folder)` writes one report on several
runs, and `write_site(folder, runs)` the static pages of all releases.

The package imports neither TensorFlow nor Ray. Of the project it imports `results`, and the small files of
`bench.core` that every room may import (docs/architecture.md).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports import claims, document, format, html, markdown, metrics
    from reports.claims import Claim
    from reports.conclusion import Conclusion, conclude
    from reports.document import Document, Items, Paragraph, words
    from reports.figures import theme
    from reports.figures.study import losses_against
    from reports.pages import budget, comparison, release_history, study
    from reports.pages.comparison import formats as comparison_formats
    from reports.pages.comparison import reasons, sentence
    from reports.recipes import in_a_line, outcome
    from reports.settings import settings as settings_of
    from reports.site import check_site_folder, write_site
    from reports.summary import Summary, summarize
    from reports.writer import write, write_together
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
