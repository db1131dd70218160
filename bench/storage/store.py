"""One place in an object store: lists, reads and writes whole objects, tries again what may pass, and words its errors.

The file systems are those of pyarrow, which Ray uses for its own storage. What the code relies on, seen with 25.0:

- `FileSystem.from_uri` gives a server 3 s to answer a reader and tries 31 times. The constructors take limits, but
  that of S3 does not read AWS_ENDPOINT_URL. No limit holds for writing.
- A stream that is left by an exception is closed, which publishes the part that was written.
- Deleting an object puts an empty one in place of its folder. A listing shows it as a folder.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import results
from bench.core import UsageError
from bench.storage.address import Address

ATTEMPTS = 5
"""Number of times that an operation is tried. Each is up to three requests, because pyarrow repeats them, too."""
STORE_SECONDS = "SEGMENTATION_BENCH_STORE_SECONDS"
"""Environment variable: seconds after which no operation is tried again."""
LIMIT_VARIABLE = "SEGMENTATION_BENCH_DATA_LIMIT"
"""Environment variable: GB that all copies of data sets may take on a machine; without it, as much as there is."""
TOTAL_SECONDS = 300.0
FIRST_WAIT = 1.0
"""Seconds before the second attempt; they double with each."""
REQUEST_SECONDS, CONNECT_SECONDS = 60.0, 10.0
SLOWEST = 1 << 20
"""Bytes per second below which an upload is given up and tried again."""
WHOLE = 4 << 20
"""Bytes up to which an object is written by one request."""
_PIECE = 8 << 20
PUBLIC_VARIABLES = (
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED",
    "AZURE_STORAGE_ACCOUNT", "STORAGE_EMULATOR_HOST", STORE_SECONDS, LIMIT_VARIABLE,
)  # fmt: skip
"""Environment variables that say where a store is, and hold no secret: workers on other machines get them."""
_SECRET_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN",
)  # fmt: skip
# What the message of an error holds, what it means, and whether it may pass. The first that is found counts.
_MEANINGS = (
    (("Path does not exist",), "there is no such object", 0),
    (("NO_SUCH_BUCKET", "NoSuchBucket", "ContainerNotFound"), "there is no such bucket; make it, or check its name", 0),
    (("ExpiredToken", "TokenRefreshRequired", "expired"), "the credentials have expired; get new ones", 0),
    (
        ("INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "InvalidClientTokenId", "InvalidToken", "401"),
        "the credentials are not valid there; check them",
        0,
    ),
    (
        ("ACCESS_DENIED", "AccessDenied", "HTTP status 403", "AuthorizationFailure", "PermissionDenied"),
        "access is denied; the credentials need the right to list, read, write and delete there",
        0,
    ),
    (("HTTP status 400",), "the request is refused (400); are the credentials expired, is it the right region?", 0),
    (("NETWORK_CONNECTION", "Could not connect", "CouldNotConnect"), "cannot be reached; is the endpoint right?", 1),
    (("SLOW_DOWN", "HTTP status 503", "SERVICE_UNAVAILABLE"), "it asks to slow down (503)", 1),
)

T = TypeVar("T")


class StoreError(OSError):
    """An operation that a store refused, or did not do after all attempts. Its message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.strerror = message


@dataclass(frozen=True)
class Found:
    """An object as a listing shows it: its size in bytes, and when it was written, in ns."""

    size: int
    changed: int


class Store:
    """The objects below an address.

    Args:
        address: of their folder.

    Raises:
        UsageError: pyarrow has no support for this kind of store, or the account is not named.
    """

    def __init__(self, address: Address) -> None:
        self.address = address

    @functools.cached_property
    def _files(self) -> Any:
        return _file_system(self.address)

    def listed(self, below: str = "") -> dict[str, Found]:
        """Return the objects below a folder, by their path from this address."""
        from pyarrow.fs import FileSelector

        key = (self.address / below).key

        def listing() -> Any:
            try:
                return self._files.get_file_info(FileSelector(key, recursive=True))
            except FileNotFoundError:
                return []

        start = len(self.address.key) + 1
        found = self._tried("listed", listing)
        if odd := next((one.path for one in found if ".." in one.path.split("/")), None):
            raise StoreError(f"{self.address}: {odd!r} cannot be the path of a file; remove or rename that object")
        return {
            one.path[start:]: Found(one.size, one.mtime_ns or 0)
            for one in found
            if one.is_file and not one.path.endswith("/")
        }

    def folders(self) -> list[str]:
        """Return the names of the folders at the address itself, sorted."""
        from pyarrow.fs import FileSelector

        found = self._tried(
            "listed", lambda: self._files.get_file_info(FileSelector(self.address.key, allow_not_found=True))
        )
        return sorted(one.base_name for one in found if not one.is_file)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a small object; None if there is none."""

        def reading() -> bytes | None:
            try:
                with self._files.open_input_stream((self.address / name).key) as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

        return self._tried("read", reading)

    def get(self, name: str, file: Path, seen: Callable[[int], None] = lambda count: None) -> None:
        """Bring an object to a file, which readers see whole or not at all.

        Its size is checked, and its bytes by its ETag if that is an MD5. With some kinds of encryption the ETag looks
        like one and is none; then the object is read twice, and has to be the same.

        Args:
            name: of the object.
            file: its place here.
            seen: called with the number of bytes of each piece.
        """
        key = (self.address / name).key

        def getting() -> str:
            digest, count = hashlib.md5(usedforsecurity=False), 0
            with results.writing(file) as sink, self._files.open_input_stream(key) as stream:
                about = stream.metadata() or {}
                while piece := stream.read(_PIECE):
                    sink.write(piece)
                    digest.update(piece)
                    count += len(piece)
                    seen(len(piece))
                size = int(about.get("Content-Length", count))
                if size != count:
                    raise OSError(f"cut off after {count} of {size} bytes")
            tag = about.get("ETag", b"")
            tag = (tag.decode() if isinstance(tag, bytes) else str(tag)).strip('"')
            return "" if len(tag) != 32 or tag == digest.hexdigest() else digest.hexdigest()

        other = self._tried("read", getting)
        if other and self._tried("read", getting) not in ("", other):
            raise StoreError(f"{self.address / name}: two readings gave two contents; is it being written?")

    def put(self, file: Path, name: str) -> None:
        """Write a file as an object, of which readers see all the old bytes or all the new ones.

        Raises:
            FileNotFoundError: there is no such file.
        """
        key = (self.address / name).key

        def putting() -> None:
            with open(file, "rb") as source:
                first = source.read(WHOLE)  # before the stream is opened: an error here publishes nothing
                size = os.fstat(source.fileno()).st_size
                with self._files.open_output_stream(key) as sink:
                    sink.write(first)
                    if size > WHOLE:
                        while piece := source.read(_PIECE):
                            sink.write(piece)
            if size > WHOLE and self._files.get_file_info(key).size != size:
                self._files.delete_file(key)
                raise OSError("it changed while it was uploaded")

        self._tried("written", lambda: _in_time(putting, REQUEST_SECONDS + file.stat().st_size / SLOWEST))

    def put_bytes(self, data: bytes, name: str) -> None:
        """Write bytes as an object, by one request."""

        def putting() -> None:
            with self._files.open_output_stream((self.address / name).key) as sink:
                sink.write(data)

        self._tried("written", lambda: _in_time(putting, REQUEST_SECONDS + len(data) / SLOWEST))

    def remove(self, name: str) -> None:
        """Remove an object; it may be missing."""

        def removing() -> None:
            try:
                self._files.delete_file((self.address / name).key)
            except FileNotFoundError:
                return

        self._tried("removed", removing)

    def remove_all(self) -> None:
        """Remove all objects below the address."""
        for name in self.listed():
            self.remove(name)

    def _tried(self, what: str, do: Callable[[], T]) -> T:
        """Do something with the store, again if it fails in a way that may pass.

        Raises:
            StoreError: it fails for good; one line.
        """
        end = time.monotonic() + float(os.environ.get(STORE_SECONDS) or TOTAL_SECONDS)
        for wait in _waits():
            try:
                return do()
            except (OSError, ValueError) as error:
                if getattr(error, "errno", None) and (error.errno != errno.ENOENT or error.filename):  # type: ignore[union-attr]
                    raise  # of this machine's disk: those of a store have no number, but for a missing object
                meaning, passing = _meaning(error)
                if wait is None or not passing or time.monotonic() + wait > end:
                    raise StoreError(f"{self.address}: cannot be {what}: {meaning}") from None
            time.sleep(wait)
        raise AssertionError


def _in_time(do: Callable[[], None], seconds: float) -> None:
    """Do something in a thread. pyarrow's limit holds for reading only: a write that is not answered waits for ever.

    Raises:
        OSError: it takes longer; the thread is left alone.
    """
    raised: list[BaseException] = []

    def doing() -> None:
        try:
            do()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=doing, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise OSError(f"no answer for {seconds:g} s")
    if raised:
        raise raised[0]


def _waits() -> Iterator[float | None]:
    """Yield the seconds to wait after each attempt; None after the last."""
    yield from (FIRST_WAIT * 2**number for number in range(ATTEMPTS - 1))
    yield None


def _meaning(error: Exception) -> tuple[str, bool]:
    """Return what an error of a store means, in words without secrets, and whether it may pass."""
    said = " ".join(str(error).split())
    for marks, words, passing in _MEANINGS:
        if any(mark in said for mark in marks):
            return words, bool(passing)
    for secret in filter(None, map(os.environ.get, _SECRET_VARIABLES)):
        said = said.replace(secret, "***")
    return said[:300], True


def _file_system(address: Address) -> Any:
    """Return pyarrow's file system for an address.

    Raises:
        UsageError: this pyarrow has none, or the account is not named.
    """
    import pyarrow.fs

    settings, limit = dict(address.settings), timedelta(seconds=REQUEST_SECONDS)
    try:
        if address.scheme == "gs":
            return pyarrow.fs.GcsFileSystem(retry_time_limit=limit)
        if address.scheme == "az":
            return _azure(settings)
        endpoint = (
            settings.get("endpoint_override")
            or os.environ.get("AWS_ENDPOINT_URL_S3")
            or os.environ.get("AWS_ENDPOINT_URL")
        )
        region = settings.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region and not endpoint:
            region = pyarrow.fs.resolve_s3_region(address.bucket)
        return pyarrow.fs.S3FileSystem(
            region=region, endpoint_override=endpoint, scheme=settings.get("scheme"), allow_delayed_open=True,
            request_timeout=REQUEST_SECONDS, connect_timeout=CONNECT_SECONDS,
            retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=3),
        )  # fmt: skip
    except ImportError as error:
        raise UsageError(f"{address}: {error}; install the pyarrow of the Python package index") from None


def _azure(settings: dict[str, str]) -> Any:
    import pyarrow.fs

    account = settings.get("account") or os.environ.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise UsageError("az://: name the account, by AZURE_STORAGE_ACCOUNT or az://container/folder?account=NAME")
    return pyarrow.fs.AzureFileSystem(
        account, account_key=os.environ.get("AZURE_STORAGE_KEY"), sas_token=os.environ.get("AZURE_STORAGE_SAS_TOKEN")
    )
