"""Pictures and videos through the weights of a trial."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.prediction import video
else:
    from bench.core import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
