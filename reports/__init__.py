"""Reports of runs, from records and their artefacts alone. No TensorFlow, no Ray; of the project, only `results`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports import claims, document, format, html, markdown, metrics
    from reports.claims import Claim
    from reports.document import Document, Items, Paragraph, words
    from reports.figures import theme
    from reports.figures.study import losses_against
    from reports.pages import comparison, release_history, study
    from reports.pages.comparison import formats as comparison_formats
    from reports.pages.comparison import reasons, sentence
    from reports.summary import Summary, summarize
    from reports.writer import write

_HOMES = {
    "Claim": "reports.claims",
    "Document": "reports.document",
    "Items": "reports.document",
    "Paragraph": "reports.document",
    "Summary": "reports.summary",
    "losses_against": "reports.figures.study",
    "reasons": "reports.pages.comparison",
    "sentence": "reports.pages.comparison",
    "summarize": "reports.summary",
    "words": "reports.document",
    "write": "reports.writer",
}
_MODULES = {
    "claims": "reports.claims",
    "document": "reports.document",
    "format": "reports.format",
    "theme": "reports.figures.theme",
    "html": "reports.html",
    "markdown": "reports.markdown",
    "metrics": "reports.metrics",
    "comparison": "reports.pages.comparison",
    "comparison_formats": "reports.pages.comparison.formats",
    "release_history": "reports.pages.release_history",
    "study": "reports.pages.study",
}
__all__ = sorted((*_HOMES, *_MODULES))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
