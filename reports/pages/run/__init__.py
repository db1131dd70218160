"""The report of a run, with one file per section of the page."""

from reports.pages.run.cells import throughput
from reports.pages.run.page import document
from reports.pages.run.sentences import in_short as verdict

__all__ = ["document", "throughput", "verdict"]
