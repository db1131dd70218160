"""An S3 server for the tests of this folder."""

import itertools
import urllib.request

import pytest

from tests.storage.server import serving

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server():
    for module in ("moto", "flask_cors"):
        pytest.importorskip(module, reason="the S3 server of the tests is not installed; make venv installs it")
    with serving() as made:
        yield made


@pytest.fixture
def store(server, tmp_path, monkeypatch):
    """The server with a new bucket, `server.bucket`, and its variables in the environment."""
    for name, value in server.variables(tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    server.bucket = f"bucket{next(_NUMBERS)}"
    urllib.request.urlopen(urllib.request.Request(f"{server.endpoint}/{server.bucket}", method="PUT")).close()
    server.requests.clear()
    return server
