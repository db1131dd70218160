"""An S3 server on loopback, moto's, that answers with faults when it is told to."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ERRORS = {
    "SlowDown": ("503 Slow Down", "Please reduce your request rate."),
    "ExpiredToken": ("400 Bad Request", "The provided token has expired."),
    "AccessDenied": ("403 Forbidden", "Access Denied"),
}


@dataclass
class Fault:
    """What some requests are answered: an error of S3, or the right answer after a while.

    Attributes:
        requests: pattern of "METHOD /bucket/key" of the requests that are answered so.
        error: name of the error in `ERRORS`; empty for the right answer.
        seconds: before the answer.
        times: number of answers that are left.
    """

    requests: str
    error: str = ""
    seconds: float = 0.0
    times: float = float("inf")

    def meets(self, request: str) -> bool:
        """Whether this request is to be answered so."""
        return self.times > 0 and re.search(self.requests, request) is not None


@dataclass
class Server:
    """The server: its address, the requests that it got ("PUT /bucket/key"), and its faults."""

    endpoint: str
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def variables(self, cache) -> dict[str, str]:
        """The environment of a process that is to use it, with credentials that nothing may write down."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "AKIAINTHETEST", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-test", "AWS_SESSION_TOKEN": "the-token-of-the-test",
            "AWS_EC2_METADATA_DISABLED": "true", "SEGMENTATION_BENCH_CACHE": str(cache),
        }  # fmt: skip

    @contextmanager
    def answering(self, *faults: Fault) -> Iterator[None]:
        """Answer with these faults inside the block."""
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []

    def __call__(self, environ, start_response):
        """Answer a request, as WSGI has it."""
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        self.requests.append(request)
        fault = next((fault for fault in self.faults if fault.meets(request)), None)
        if fault is None:
            return self._right(environ, start_response)
        fault.times -= 1
        self._wait(fault)
        if not fault.error:
            return self._right(environ, start_response)
        status, message = ERRORS[fault.error]
        body = f"<?xml version='1.0'?><Error><Code>{fault.error}</Code><Message>{message}</Message></Error>".encode()
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _wait(self, fault):
        """Wait as long as the fault says, or until it is over."""
        end = time.monotonic() + fault.seconds
        while time.monotonic() < end and fault in self.faults:
            time.sleep(0.02)

    def __post_init__(self):
        from moto.server import DomainDispatcherApplication, create_backend_app

        self._right = DomainDispatcherApplication(create_backend_app)


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port of loopback, from threads of this process."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *arguments):
            pass

    made = Server("")
    listener = make_server("127.0.0.1", 0, made, threaded=True, request_handler=Quiet)
    made.endpoint = f"http://127.0.0.1:{listener.port}"
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        listener.shutdown()
        thread.join()
