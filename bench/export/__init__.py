"""A trial's model as files for other runtimes, each run by its own runtime and compared, with a model card."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.export.agreement import Agreement, compared
    from bench.export.formats import FORMATS, INSTALL, Format, Views, run_by_its_runtime
    from bench.export.source import Source, find_source
    from bench.export.writing import Written, checked, write
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
