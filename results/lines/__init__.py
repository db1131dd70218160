"""Lines: every metric of every cell over a sequence of runs, and where its level changed."""

from results.lines.following import cell_history, distinct_names
from results.lines.types import History, Line, Point, Step

__all__ = ["History", "Line", "Point", "Step", "cell_history", "distinct_names"]
