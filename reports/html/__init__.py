"""Pages in HTML: one self-contained file each, which makes no request."""

from reports.html.page import render

__all__ = ["render"]
