"""Two revisions side by side: their trials in turns on the same devices, two run folders, one comparison."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.versus.folder import Sides, VersusFolder
    from bench.versus.session import Request, run
    from bench.versus.turns import SIDES, Pair, order_in_words, pairs
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
