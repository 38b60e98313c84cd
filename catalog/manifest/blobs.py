"""Files that become blobs: what a PDS will call them, known before it has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.syntax import RAW, Cid

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.manifest.drafts import ShardDraft

__all__ = ["MAX_BLOB", "LocalBlob", "packed_with", "size_of"]

MAX_BLOB: Final = 52_428_800
"""Bytes of a blob, by the lexicon."""
_TAR: Final = "application/x-tar"
_SHA_256: Final = 0x12
"""In a multihash: https://github.com/multiformats/multicodec/blob/master/table.csv."""

_PACKED: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
"""How files begin that aren't plain tars. A PDS looks at the first bytes, and refuses a record that says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBlob:
    """A file that a record names as a blob, and that publishing uploads. ``size`` in bytes.

    Without a ``path`` it isn't on this machine: then the repository must have it already.
    """

    path: Path | None
    cid: Cid
    size: int
    mime_type: str = _TAR

    @classmethod
    def of(cls, shard: ShardDraft) -> LocalBlob:
        """The blob that a file will be: its CID is made of its SHA-256. Of one that nobody hashed, a stand-in."""
        digest = bytes.fromhex(shard.sha256 or "0" * 64)
        cid = Cid.of_binary(bytes((1, RAW, _SHA_256, len(digest))) + digest)
        return cls(path=shard.local, cid=cid, size=shard.bytes or 0)


def size_of(file: Path | None) -> int | None:
    """The bytes of a file, ``None`` where there is none to be seen."""
    try:
        return None if file is None else file.stat().st_size
    except (OSError, ValueError):
        return None


def packed_with(file: Path) -> str | None:
    """What a file is packed with; ``None`` when with nothing we know, or when it can't be read."""
    try:
        with file.open("rb") as opened:
            begin = opened.read(8)
    except (OSError, ValueError):
        return None
    return next((name for magic, name in _PACKED.items() if begin.startswith(magic)), None)
