"""Side-by-side benchmarks, run on demand: `python -m bench.perf.NAME`."""

from bench.core import prepare_process

# Before TensorFlow comes in: the benchmarks run on the kernels that trials run on.
prepare_process()
