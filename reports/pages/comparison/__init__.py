"""Page of a comparison of two runs: the verdict first, then every row, the forest plot and the differences."""

from reports.pages.comparison.page import document, forest
from reports.pages.comparison.sentences import reasons, sentence, verdict
from reports.pages.comparison.tables import TONES, table

__all__ = ["TONES", "document", "forest", "reasons", "sentence", "table", "verdict"]
