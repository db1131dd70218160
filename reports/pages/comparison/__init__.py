"""A comparison of two runs as a page: the verdict first, then every row, the forest plot and what differs."""

from reports.pages.comparison.page import document, forest
from reports.pages.comparison.sentences import reasons, sentence, verdict
from reports.pages.comparison.tables import TONES, table

__all__ = ["TONES", "document", "forest", "reasons", "sentence", "table", "verdict"]
