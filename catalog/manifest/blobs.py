"""Local files that become blobs: CID and media type, before the upload."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.syntax import RAW, Cid

if TYPE_CHECKING:
    from catalog.manifest.drafts import ShardDraft

MAX_BLOB: Final = 52_428_800
"""Maximum bytes of a blob, by the lexicon."""
TAR: Final = "application/x-tar"
JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
MEDIA_TYPES: Final = (TAR, JSON, BINARY)
"""The media types of uploaded blobs: shards, and header and rows of shard manifests."""
_SHA_256: Final = 0x12
"""In a multihash: https://github.com/multiformats/multicodec/blob/master/table.csv."""

_PACKED: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
"""Magic bytes of packed files. A PDS detects them, and refuses a record with another media type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBlob:
    """A file that a record refers to as a blob, and that publishing uploads. ``size`` in bytes.

    Without a ``path`` it isn't on this machine: the repository must have the blob already.
    """

    path: Path | None
    cid: Cid
    size: int
    mime_type: str = TAR

    @classmethod
    def of(cls, shard: ShardDraft) -> LocalBlob:
        """Return the blob of a file: its CID contains the SHA-256. Without a hash, a placeholder."""
        return cls(path=shard.local, cid=_cid(bytes.fromhex(shard.sha256 or "0" * 64)), size=shard.bytes or 0)

    @classmethod
    def of_file(cls, path: Path, mime_type: str) -> LocalBlob:
        """Return the blob of a file of this program, which is read. Raises OSError."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            return cls(path=path, cid=_cid(digest), size=file.tell(), mime_type=mime_type)


def _cid(digest: bytes) -> Cid:
    return Cid.of_binary(bytes((1, RAW, _SHA_256, len(digest))) + digest)


def size_of(file: Path | None) -> int | None:
    """Return the size of a file in bytes, ``None`` if it can't be read."""
    try:
        return None if file is None else file.stat().st_size
    except (OSError, ValueError):
        return None


def packed_with(file: Path) -> str | None:
    """Return the compression of a file; ``None`` if it has none that is known, or can't be read."""
    try:
        with file.open("rb") as opened:
            begin = opened.read(8)
    except (OSError, ValueError):
        return None
    return next((name for magic, name in _PACKED.items() if begin.startswith(magic)), None)
