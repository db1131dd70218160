"""The hosts of a trial meet before TensorFlow connects them: on sockets, a thread for each."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.core import HostLost
from bench.trial import meeting
from bench.trial.hosts import Hosts

READY = ("there", "")


@pytest.fixture
def workers():
    """Addresses whose ports somebody holds open, as Ray's workers do."""
    held = []
    for _ in range(3):
        held.append(socket.socket())
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held[-1].bind(("", 0))
    yield [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()


def _ends(workers, told):
    """What each host hears or raises; None tells of one that does not come."""
    with ThreadPoolExecutor() as pool:
        asked = [one and pool.submit(meeting.meet, workers, index, one) for index, one in enumerate(told)]
        return [one and (one.exception() or one.result()) for one in asked]


def test_all_hear_what_all_have_told_in_their_order(workers):
    told = [("a", ""), ("b", "no such image"), ("c", "")]
    assert _ends(workers, told) == [told] * 3
    assert _ends(workers, [READY] * 3) == [[READY] * 3] * 3, "the port is free again"


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_a_host_that_does_not_come_is_named(workers, monkeypatch, lacking):
    monkeypatch.setattr(meeting, "READY_SECONDS", 0.6)
    monkeypatch.setattr(meeting, "ALONE_SECONDS", 0.1)
    found = _ends(workers, [None if index == lacking else READY for index in range(3)])
    for end in [end for end in found if end]:
        assert isinstance(end, HostLost), found
    first = found[1 if lacking == 0 else 0]
    assert str(first) == (
        f"another host of this trial is not there after 0.01 minutes: {workers[lacking]}; start the trial on it, too"
    )


@pytest.mark.parametrize("failing", [0, 1])
def test_after_a_failure_nobody_waits_for_long_for_one_that_does_not_come(workers, monkeypatch, failing):
    monkeypatch.setattr(meeting, "ALONE_SECONDS", 0.6)
    told = [("a", "out of memory" * (failing == 0)), ("b", "out of memory" * (failing == 1)), None]
    assert _ends(workers, told) == [told[:2], told[:2], None]


def test_a_host_that_goes_before_all_are_ready_is_lost_and_strangers_are_not_heard(workers):
    with ThreadPoolExecutor() as pool:
        first = pool.submit(meeting.meet, workers, 0, READY)
        place = ("127.0.0.1", int(workers[0].rpartition(":")[2]))
        for words in (b"GET / HTTP/1.1\r\n\r\n", b'[7, "x", ""]\n', b"[null]\n", b"\xff\n", b""):
            with meeting._connected(workers[0], float("inf")) as stranger:
                stranger.sendall(words)
        gone = meeting._connected(workers[0], float("inf"))
        gone.sendall(b'[1, "b", ""]\n')
        gone.close()
        assert str(first.exception()) == f"another host of this trial is gone: {workers[1]}, before all were ready"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(place)


def test_what_fails_before_the_hosts_meet_is_told_and_raised(workers):
    def begins(index):
        hosts = Hosts(2, index, workers[:2])
        with hosts.beginning():
            if index:
                raise OSError("no such disk")
            hosts.meet()

    with ThreadPoolExecutor() as pool:
        first, second = [one.exception() for one in [pool.submit(begins, index) for index in (0, 1)]]
    assert isinstance(second, OSError)
    assert str(first).endswith(": no such disk")
