"""Side-by-side benchmarks, run on demand: `python -m bench.perf.NAME`."""
