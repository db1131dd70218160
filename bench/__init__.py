"""The benchmark: commands, specs, grids, scheduling and the trial itself.

Importing this package imports neither TensorFlow nor Ray; each command imports what it needs.
"""

from bench.core import claim_packages

claim_packages()
__version__ = "0.2.0.dev0"
