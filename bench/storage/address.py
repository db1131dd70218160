"""Addresses of object stores, such as s3://bucket/runs?region=eu-west-1. They never hold credentials."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from bench.core import UsageError, nearest

SCHEMES = {"s3": ("region", "endpoint_override", "scheme"), "gs": (), "az": ("account",)}
"""The kinds of stores, with the settings that an address of each may have behind `?`."""
# A Path turns s3://bucket into s3:/bucket.
_FORM = re.compile(r"(?P<scheme>[a-z0-9+]{2,}):/{1,2}(?P<bucket>[^/?]*)(?P<path>[^?]*)(\?(?P<settings>.*))?", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """A place in an object store.

    Attributes:
        scheme: s3, gs or az.
        bucket: name of the bucket, or of the container.
        path: of the object or of a prefix of objects, without a slash at its ends; empty for the bucket.
        settings: (name, value) of what is behind `?`.
    """

    scheme: str
    bucket: str
    path: str = ""
    settings: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, text: str | os.PathLike[str]) -> Address:
        """Read an address.

        Raises:
            UsageError: it is none, or holds credentials, which the message does not repeat.
        """
        found = _FORM.fullmatch(os.fspath(text))
        if found is None or found["scheme"] not in SCHEMES:
            raise UsageError(f"{text}: expected an address such as s3://bucket/folder ({', '.join(SCHEMES)})")
        scheme, bucket = found["scheme"], found["bucket"]
        settings = tuple(parse_qsl(found["settings"] or "", keep_blank_values=True))
        known = SCHEMES[scheme]
        wrong = [name for name, _ in settings if name not in known]
        if "@" in bucket or wrong:
            what = "a user" if "@" in bucket else f"{wrong[0]!r}{nearest(wrong[0], known)}"
            raise UsageError(
                f"{scheme}://...: an address with {what}: credentials belong into the environment or the store's own "
                f"files, and settings are {', '.join(known) or 'none'}"
            )
        parts = [part for part in found["path"].split("/") if part]
        if not bucket or {".", ".."} & {*parts, bucket}:
            raise UsageError(f"{text}: expected a bucket and a folder, such as {scheme}://bucket/folder")
        return cls(scheme, bucket, "/".join(parts), settings)

    def __truediv__(self, below: str) -> Address:
        """Return the address of something below this one."""
        return replace(self, path="/".join(part for part in (self.path, below) if part))

    @property
    def parent(self) -> Address:
        """The folder in which it lies."""
        return replace(self, path=self.path.rpartition("/")[0])

    def __str__(self) -> str:
        settings = f"?{urlencode(self.settings)}" if self.settings else ""
        return f"{self.scheme}://{self.bucket}{'/' if self.path else ''}{self.path}{settings}"

    @property
    def for_ray(self) -> str:
        """The address as Ray takes it, which hands it to pyarrow."""
        if self.scheme != "az":
            return str(self)
        account = dict(self.settings).get("account") or os.environ.get("AZURE_STORAGE_ACCOUNT", "")
        return f"abfs://{self.bucket}@{account}.blob.core.windows.net/{self.path}"

    @property
    def key(self) -> str:
        """The place as file systems of pyarrow name it: bucket/path."""
        return f"{self.bucket}/{self.path}" if self.path else self.bucket


def absolute(path: Path) -> Path:
    """Return a path without its dependence on the working folder; an address that was taken for a path stays."""
    return path if is_address(path) else path.resolve()


def is_address(text: str | os.PathLike[str]) -> bool:
    """Return whether a text or path is meant as an address of an object store."""
    found = _FORM.fullmatch(os.fspath(text))
    return found is not None and found["scheme"] in SCHEMES
