"""One writer of a run folder at a time, wherever it lies."""

import errno
import fcntl

import pytest

from bench.core import UsageError
from bench.execution import RunFolder, resume_command, writable


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


def test_a_run_is_finished_on_the_cluster_it_was_begun_on(folder):
    assert resume_command(folder) == f"python -m bench.run --resume {folder}"
    on_cluster = f"python -m bench.run --resume {folder} --address 'head node:6379'"
    assert resume_command(folder, "head node:6379") == on_cluster
    with pytest.raises(UsageError) as error:
        writable(folder.parent, folder.name, "head node:6379")
    assert str(error.value).endswith(f"or finish it with: {on_cluster}")
