"""Segmentation of images and videos with the weights of a trial."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.prediction import video
    from bench.prediction.choice import choose_trial, chosen, run_at
    from bench.prediction.inputs import (
        LEGEND,
        checkpoint_of,
        list_sources,
        make_parts_importable,
        run_of,
        scale_factors,
        spec_of,
    )
    from bench.prediction.segmentation import (
        check_crf,
        overlay,
        predictor,
        segment_image,
        segment_video,
        segmenter,
        trained_model,
    )
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
