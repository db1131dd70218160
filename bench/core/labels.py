"""The value in labels that is no class id."""

IGNORE_INDEX = 255
"""Label of pixels that are ignored by losses and metrics."""
