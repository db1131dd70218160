"""The specification of a trial: its validated fields, and which of them are part of a cell. Imports no TensorFlow."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.spec import reference
    from bench.spec.augmentation import AugmentationPolicy, at
    from bench.spec.availability import check_architecture, check_available, check_hosts
    from bench.spec.base import identity
    from bench.spec.course import Phase, phases, share_of_pixels, steps_before_release
    from bench.spec.fields import assign, fields_of, parse
    from bench.spec.model_identity import own_names, structure
    from bench.spec.settings import as_settings
    from bench.spec.trial_spec import DataSpec, LossSpec, Placement, TrainSpec, TrialSpec, initial_weights
    from bench.spec.views import ViewSpec
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
