"""What labels hold beside class ids."""

IGNORE_INDEX = 255
"""The label of pixels that count neither in a loss nor in a metric."""
