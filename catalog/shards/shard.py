"""One shard of a dataset, and its URL in messages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from catalog.errors import RefusedUrl

if TYPE_CHECKING:
    from catalog.shards.s3 import Credentials

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


class ManifestFiles(NamedTuple):
    """The files of a shard manifest: its JSON header, and its Parquet table if there is one."""

    header: Shard
    table: Shard | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard: an ``https`` URL, ``s3://bucket/key``, or a local file. Opened only when it is read.

    ``checksum`` is ``sha256:<hex>`` (or another algorithm's name); without one the bytes aren't verified. ``endpoint``
    (a URL) and ``region`` belong to ``s3://bucket/key``, whose key is not percent-encoded; without an endpoint it is
    ``AWS_ENDPOINT_URL_S3``, or AWS. ``credentials`` are sent to that endpoint if a request without them is refused; by
    default those of the environment are, to AWS and the user's own endpoint. ``format`` is a name of
    :data:`catalog.shards.formats.FORMATS`; without one it is recognised by the first bytes. Plain ``http`` is opened
    with a ``checksum`` only (SHA-256 or longer), or where the network settings allow it; every other scheme is refused:
    in other readers ``pipe:`` runs shell commands. ``manifest`` is its shard manifest, if one is published.
    """

    url: str
    checksum: str | None = None
    endpoint: str | None = None
    region: str | None = None
    format: str | None = None
    credentials: Credentials | None = field(default=None, repr=False)
    manifest: ManifestFiles | None = field(default=None, repr=False, compare=False)

    @property
    def path(self) -> Path | None:
        """The local file, ``None`` for a remote shard. Raises :class:`RefusedUrl` for a scheme that isn't opened."""
        url = self.url
        match = _SCHEME.match(url.strip())
        scheme = match[1].lower() if match else ""
        odd = url != url.strip() and (scheme or "//" in url)
        if scheme in ("http", "https") and not odd:
            return None
        if scheme == "s3" and url.startswith("s3://"):
            from catalog.shards.s3 import S3Object

            S3Object.parse(url, self.endpoint, self.region)
            return None
        path = url
        if scheme == "file" and not odd and urlsplit(url).netloc in ("", "localhost"):
            scheme, path = "", unquote(urlsplit(url).path)
        if scheme or odd or any(ord(char) < 32 for char in path):
            what = f"{scheme or 'file'}: is not opened"
            raise RefusedUrl(what, where=display_url(url), hint="https, http, s3 and files are")
        if path.startswith(("//", "\\\\")):
            raise RefusedUrl("a file of another machine is not opened", where=display_url(url), hint="mount it")
        return Path(path)


def display_url(url: str) -> str:
    """Return a shard's URL for a message: one line, shortened, without user name or query, which may hold a secret.

    The query of a PDS's ``getBlob`` is kept: only it tells one blob from another.
    """
    if url.lower().startswith(("http:", "https:")) and "/xrpc/com.atproto." not in url:
        before, slashes, after = url.partition("//")
        host, slash, path = after.partition("/")
        url = (before + slashes + host.rpartition("@")[2] + slash + path).partition("?")[0].partition("#")[0]
    url = url if len(url) <= 200 else url[:199] + "…"
    return url if url.isprintable() else ascii(url)[1:-1]
