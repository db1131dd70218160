"""Records of label maps that any framework has written, for the statistics, the report and the gate."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.scoring.maps import label_maps
    from bench.scoring.scored_run import ScoreRequest, score
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
