"""What a report says: its figures take nearly all of the time of writing one."""

import results
from reports import markdown
from reports.pages import run as page
from reports.summary import summarize


def text_of(folder):
    """The text of a run's report, without figures."""
    run = results.read_run(folder)
    return markdown.render(page.document(run, summarize(run), {}))
