"""Data sets by name, their checks, and the input pipeline. TensorFlow is imported only when a pipeline is made."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.data import pipeline
    from bench.data.check import Findings, look
    from bench.data.dataset import Dataset, Slice, Split
    from bench.data.folder_writer import convert
    from bench.data.image_io import IMAGE_SUFFIXES, check_image, read_image
    from bench.data.pipeline import prepared, seen, squared
    from bench.data.registry import load, names, version_here
    from bench.data.sheet import legend
    from bench.data.sources.catalog import entries
    from bench.data.sources.tfrecords import write as write_shards
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
