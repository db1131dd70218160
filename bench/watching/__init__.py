"""Where a run stands, read from its folder while it goes on or later, and the message sent when it has ended."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.watching.logs import last_lines
    from bench.watching.notifying import check_url, news, notifier, post
    from bench.watching.reading import Best, Failed, RunStatus, look
    from bench.watching.words import lines, plain
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
