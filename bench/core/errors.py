"""Exit statuses, and the errors that a user can cause. A message is one line that says what, where and what to do."""

from __future__ import annotations

EXIT_OK = 0
EXIT_REGRESSION = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_INCOMPLETE = 4
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141


class UsageError(Exception):
    """Bad input. The message is one line for the terminal; the command exits with status 2."""


class HostLost(Exception):
    """A host that trains a trial together with others no longer hears one of them. The message is one line."""


class HostFailed(Exception):
    """A trial failed on a host that writes no record. The message is one line.

    Attributes:
        status: that of the record which the trial would have.
    """

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class StorageLost(KeyboardInterrupt):
    """Results can no longer be written, so that it is useless to continue. The message is one line for the terminal.

    It is a KeyboardInterrupt, so that it ends a run as Ctrl-C does and no `except Exception` holds it up.
    """
