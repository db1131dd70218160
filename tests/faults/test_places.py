"""Where Ray keeps its files: a short folder of its own, whatever $TMPDIR is. Real sockets, and one real Ray."""

import contextlib
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.core import UsageError
from bench.execution import scratch

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place():
    """A short folder, and nothing else than $RAY_TMPDIR to choose from."""
    with tempfile.TemporaryDirectory(prefix="p-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def only(monkeypatch):
    """Make these the only places that there are."""

    def only(*places):
        monkeypatch.setattr(scratch, "_places", lambda: [Path(place) for place in places])

    return only


def long(place, size):
    """A folder below, whose path has so many bytes."""
    made = place / ("x" * (size - len(str(place)) - 1))
    made.mkdir()
    assert len(str(made)) == size
    return made


def test_places_are_looked_through_in_the_order_that_the_users_wishes_come_first(place, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/ray")
    monkeypatch.setattr(tempfile, "tempdir", "/system")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    found = ["/ray", "/system", "/tmp", "/var/tmp", "/run/user/1", "/dev/shm"]
    assert scratch._places() == [Path(path) for path in found]


def test_what_the_longest_place_holds_fits_into_a_socket_s_path_and_a_byte_more_is_passed_over(place, only):
    fits = long(place, scratch.MOST_BYTES)
    only(long(place, scratch.MOST_BYTES + 1), fits)
    with scratch.folder() as folder:
        assert folder.parent.parent == fits
        path = f"{folder}{scratch._SOCKET}"
        assert len(path) == scratch.SOCKET_BYTES
        os.makedirs(os.path.dirname(path))
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as one:
            one.bind(path)
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as other, pytest.raises(OSError, match="too long"):
            other.bind(f"{path}x")
    assert list(fits.iterdir()) == []


def test_no_other_user_can_enter_and_nothing_stays(place, only):
    only(place)
    with contextlib.suppress(ZeroDivisionError), scratch.folder() as folder:
        folder.mkdir(mode=0o777)
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        raise ZeroDivisionError
    assert list(place.iterdir()) == []


def test_the_logs_of_a_ray_that_did_not_start_stay(place, only):
    only(place)
    with contextlib.suppress(UsageError), scratch.folder() as folder:
        folder.mkdir()
        raise scratch.KeepFolder(str(folder))
    assert folder.is_dir()


def test_a_place_that_is_missing_a_file_or_full_is_passed_over_and_named_where_there_is_no_other(place, only):
    (place / "file").write_text("")
    bad = [place / "missing", place / "file", long(place, scratch.MOST_BYTES + 5)]
    only(*bad, place)
    with scratch.folder() as folder:
        assert folder.parent.parent == place
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (scratch._ROOM - 1, limits[1]))
    try:
        with pytest.raises(UsageError) as error, scratch.folder():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    reasons = ["No such file or directory", "Not a directory", "longer than", "File too large"]
    assert re.search(".*".join(reasons), str(error.value))
    assert str(error.value).endswith(
        f"set RAY_TMPDIR to a writable folder whose path has at most {scratch.MOST_BYTES} bytes"
    )
    assert sorted(path.name for path in place.iterdir()) == sorted(path.name for path in bad[1:])


def test_ray_starts_whatever_the_temporary_folder_is_and_leaves_nothing(place):
    """$TMPDIR cannot be made, $RAY_TMPDIR is as long as any may be, what Ray would share lies on a disk."""
    code = """
from bench.execution import ray_cluster, scratch
import ray
scratch.shared_memory = lambda: False
with ray_cluster.cluster(None):
    node = ray._private.worker._global_node
    print(node.plasma_store_socket_name, node.raylet_socket_name, ray_cluster._own)
    print(ray.get(ray.remote(lambda: "answered").remote()))
"""
    here = long(place, scratch.MOST_BYTES)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": "/proc/nowhere", "RAY_TMPDIR": str(here)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, answer = done.stdout.splitlines()
    *sockets, own = first.split()
    assert answer == "answered"
    assert Path(own).parent.parent == here
    assert max(len(path) - len(own) for path in sockets) <= len(scratch._SOCKET)
    assert max(map(len, sockets)) <= scratch.SOCKET_BYTES
    assert list(here.iterdir()) == []


def test_whatever_keeps_ray_from_starting_is_one_line():
    from bench.execution import ray_cluster

    with pytest.raises(scratch.KeepFolder) as error, ray_cluster._as_refusal(None):
        raise Exception("a\nlong story")  # as Ray does when its raylet dies
    assert str(error.value).startswith("Ray does not start on this machine: a long story (its logs: ")
    joined = r"^--address here: cannot join a Ray cluster: OSError$"
    with pytest.raises(UsageError, match=joined), ray_cluster._as_refusal("here"):
        raise OSError


def test_an_address_at_which_nothing_listens_is_refused_at_once(monkeypatch):
    from bench.execution import ray_cluster

    with contextlib.closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        refused = "cannot join a Ray cluster: Connection refused; check that its head runs and uses this port"
        with pytest.raises(UsageError, match=f"^--address {address}: {refused}"):
            ray_cluster.cluster(address).__enter__()
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(UsageError, match=f"^--address auto, RAY_ADDRESS {address}: {refused}"):
            ray_cluster.cluster("auto").__enter__()
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(UsageError, match=r"^--address auto, RAY_ADDRESS ray://head:10001: trials are followed from"):
        ray_cluster.cluster("auto").__enter__()
    with pytest.raises(UsageError, match=r"^--address localhost:99999: cannot join a Ray cluster: [^:]+; check"):
        ray_cluster.cluster("localhost:99999").__enter__()
