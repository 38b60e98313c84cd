"""Download URLs of a dataset's shards, for programs other than this library, by its kind of storage.

Texts that are no URL and invalid checksums are omitted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from catalog.records import BlobStorage, HttpStorage, S3Storage
from catalog.shards.locations import expanded
from catalog.site.markup import is_web

if TYPE_CHECKING:
    from catalog.records import Checksum
    from catalog.store.graph import DatasetNode
    from catalog.store.rows import Publisher
    from catalog.syntax import Cid

_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"
"""Characters of a URI that are not percent-encoded, besides letters, digits and ``-._``."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9!#$&'()*+,/:;=?@\[\]~._-]*")
_LONE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_DIGESTS: Final = {"sha256": re.compile(r"[0-9a-f]{64}"), "md5": re.compile(r"[0-9a-f]{32}")}
_SHA_256: Final = 0x12


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A shard with a URL. ``size`` in bytes, digests in lower-case hex; None is unknown."""

    url: str
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None


def downloads(node: DatasetNode, most: int) -> tuple[Download, ...]:
    """Return the first shards that have a URL, at most ``most``."""
    return tuple(islice(_all(node), most))


def uri(text: str) -> str:
    """Return an address with all characters that a URI can't contain percent-encoded."""
    if _PLAIN.fullmatch(text):  # as most are; three times as fast
        return text
    return _LONE.sub("%25", quote(text, safe=_SAFE, errors="replace"))


def _all(node: DatasetNode) -> Iterator[Download]:
    storage = expanded(node.record.storage, strict=False)
    match storage:
        case HttpStorage():
            return (_download(uri(shard.url), shard.checksum) for shard in storage.shards if is_web(shard.url))
        case S3Storage():
            return _objects(storage)
        case BlobStorage():
            return _blobs(storage, node.publisher)
        case _:
            return iter(())


def _objects(storage: S3Storage) -> Iterator[Download]:
    if not _BUCKET.fullmatch(storage.bucket):
        return
    base = f"s3://{storage.bucket}/"
    if storage.endpoint is not None:
        if not is_web(storage.endpoint) or "?" in storage.endpoint or "#" in storage.endpoint:
            return
        base = f"{uri(storage.endpoint.rstrip('/'))}/{storage.bucket}/"
    for shard in storage.shards:
        yield _download(base + quote(shard.key, safe="/-_.~", errors="replace"), shard.checksum)


def _blobs(storage: BlobStorage, publisher: Publisher) -> Iterator[Download]:
    if publisher.pds is None or not is_web(publisher.pds):
        return
    base = f"{uri(publisher.pds.rstrip('/'))}/xrpc/com.atproto.sync.getBlob?did={publisher.did}&cid="
    for blob in storage.blobs:
        yield Download(url=uri(f"{base}{blob.cid}"), sha256=_hash(blob.cid), size=blob.size)


def _download(url: str, checksum: Checksum | None) -> Download:
    digests = {
        name: checksum.digest
        for name, form in _DIGESTS.items()
        if checksum is not None and checksum.algorithm == name and form.fullmatch(checksum.digest)
    }
    return Download(url=url, sha256=digests.get("sha256"), md5=digests.get("md5"))


def _hash(cid: Cid) -> str | None:
    """Return the SHA-256 digest of a blob, which is nearly always part of its CID."""
    return cid.digest.hex() if cid.hash_function == _SHA_256 else None
