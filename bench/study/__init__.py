"""The study of docs/study.md: its parts, their runs, and its page. Imports neither TensorFlow nor Ray."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.study.definition import DEFAULT, Study, read
    from bench.study.page import FIGURE, PAGE, blocks, fill, write
    from bench.study.parts import arguments, complete, recorded, run
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
