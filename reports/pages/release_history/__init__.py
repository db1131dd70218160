"""History of every cell over releases: for a terminal, as a document, and as values for JSON."""

from reports.pages.release_history.formats import document, plain
from reports.pages.release_history.terminal import terminal_text

__all__ = ["document", "plain", "terminal_text"]
