"""A cluster's head that does not answer is told once, and once more after it was there again."""

import socket
import threading

from bench.execution import head_watch


def test_a_head_that_goes_is_told_once_for_each_time(monkeypatch):
    monkeypatch.setattr(head_watch, "EVERY", 0.05)
    monkeypatch.setattr(head_watch, "PATIENCE", 0.2)
    told = threading.Semaphore(0)
    head = socket.create_server(("127.0.0.1", 0))
    port = head.getsockname()[1]
    with head_watch.watched(f"127.0.0.1:{port}", told.release):
        assert not told.acquire(timeout=0.5), "it is there"
        for _ in range(2):
            head.close()
            assert told.acquire(timeout=10)
            assert not told.acquire(timeout=0.5), "told once"
            head = socket.create_server(("127.0.0.1", port), backlog=1000)
            head.accept()[0].close()
    head.close()
    assert not told.acquire(timeout=0.3)
