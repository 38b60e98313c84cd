"""Small shards whose samples are given as values."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import msgpack

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["packed_shard"]


def packed_shard(*samples: Mapping[str, object], length: int = 0) -> bytes:
    """Return a tar of msgpack samples, with zeros after its end up to ``length`` bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", bufsize=512) as tar:
        for number, sample in enumerate(samples):
            raw = msgpack.packb(dict(sample))
            member = tarfile.TarInfo(f"{number:06d}.msgpack")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return stream.getvalue().ljust(length, b"\0")
