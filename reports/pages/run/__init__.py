"""The report of a run, with one file per section of the page."""

from reports.pages.run.cells import throughput
from reports.pages.run.deciding import surely_not_best
from reports.pages.run.page import Extras, alternatives, document
from reports.pages.run.sentences import in_short as verdict
from reports.pages.run.together import section as of_runs
from reports.pages.run.together import title as title_of_runs

__all__ = ["Extras", "alternatives", "document", "of_runs", "surely_not_best", "throughput", "title_of_runs", "verdict"]
