"""Side-by-side benchmarks, run on demand: `python -m bench.perf.NAME`."""

from bench.core import prepare_process

# Before TensorFlow is imported, so that the benchmarks run on the same kernels as trials.
prepare_process()
