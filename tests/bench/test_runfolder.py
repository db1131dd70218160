"""One writer of a run folder at a time, wherever it lies."""

import errno
import fcntl

import pytest

from bench.errors import UsageError
from bench.runfolder import RunFolder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    return tmp_path


def test_a_second_writer_is_refused(folder):
    first = RunFolder.open(folder)
    with pytest.raises(UsageError, match="is being written by another process"):
        RunFolder.open(folder)
    first._lock.close()
    RunFolder.open(folder)


def test_a_file_system_without_locks_is_no_reason_to_refuse(folder, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    RunFolder.open(folder)


def test_a_folder_that_cannot_be_written_is_one_line(folder):
    (folder / ".lock").mkdir()
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        RunFolder.open(folder)
