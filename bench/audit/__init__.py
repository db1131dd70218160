"""A trial's confusion matrix, counted once more by TensorFlow Model Analysis from its SavedModel and its shards."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.audit.counts import Count, asked_of, matrix_of
    from bench.audit.material import Material, checked_record, gathered
    from bench.audit.referee import check_installed, counted_by_tfma
    from bench.audit.verdict import Verdict
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
