"""The figures of a report as SVG with values to ask for, in the page's own colours."""

from reports.charts.drawing import draw, keys

__all__ = ["draw", "keys"]
