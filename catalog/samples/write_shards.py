"""Write samples into shards: deterministic tars, created atomically."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import InvalidSample
from catalog.samples.packable import pack
from catalog.shards.formats.msgpack import SUFFIX
from catalog.shards.tar import TarWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

__all__ = ["ShardInfo", "write_shards"]

_NUMBERED: Final = re.compile(r"[^%]*%0?[0-9]*d[^%]*")
_KEY: Final = re.compile(r"(?:[A-Za-z0-9_~+=@-]+/)*[A-Za-z0-9_~+=@-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInfo:
    """A written shard: its file, its samples and bytes, and its SHA-256 in hex."""

    path: Path
    samples: int
    bytes: int
    sha256: str


def write_shards(
    samples: Iterable[Any], pattern: str | Path, *, per_shard: int | None = None, max_bytes: int | None = None
) -> tuple[ShardInfo, ...]:
    """Write samples (of packable classes, or dicts) into tars; ``pattern`` numbers them: ``digits-%06d.tar``.

    A shard has at most ``per_shard`` samples and ``max_bytes`` bytes; without both limits there is one shard. Samples
    are written as the iterator yields them, so they needn't fit into memory. A sample keeps its ``__key__``; one
    without is named by its number. The same samples give the same bytes.

    All shards get their names together, after the last one was written; on an error none does, and existing files
    stay. Raises :class:`InvalidSample` for a sample or key that can't be written or is longer than a shard may be,
    ValueError for a pattern without a number, or a limit below 1.
    """
    limits = [limit for limit in (per_shard, max_bytes) if limit is not None]
    if not _NUMBERED.fullmatch(Path(pattern).name):
        raise ValueError(f"{str(pattern)[:200]!r} has no number for the shards: name it like 'digits-%06d.tar'")
    if min(limits, default=1) < 1:
        raise ValueError("per_shard and max_bytes are at least 1")
    written: list[_ShardFile] = []
    try:
        for number, sample in enumerate(samples):
            key, name, data = _packed(sample, number)
            header = TarWriter.header(name, len(data))
            if not written or written[-1].is_full(header, data, per_shard, max_bytes):
                if written:
                    written[-1].finish()
                path = Path(pattern)
                written.append(_ShardFile(path.parent / (path.name % len(written))))
            written[-1].add(key, header, data, max_bytes)
        infos = tuple(shard.finish() for shard in written)
        for shard in written:
            shard.part.replace(shard.path)
    finally:
        for shard in written:
            shard.discard()
    return infos


def _packed(sample: object, number: int) -> tuple[str, str, bytes]:
    """Return the key, the member's name and its bytes."""
    key = getattr(sample, "__key__", "") or f"{number:08d}"
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        hint = "letters, digits, _ ~ + = @ - and /; no dots"
        raise InvalidSample("a key that is not a plain name", where=ascii(key)[1:100], hint=hint)
    return key, key + SUFFIX, pack(sample)


class _ShardFile:
    """A shard that is being written, in a temporary file in its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = self.part.open("wb", buffering=1 << 20)
        self._tar = TarWriter(self._file)
        self._keys: set[str] = set()
        self._info: ShardInfo | None = None

    def is_full(self, header: bytes, data: bytes, per_shard: int | None, max_bytes: int | None) -> bool:
        """Return whether the next sample belongs to the next shard."""
        too_long = max_bytes is not None and self._tar.size_with(header, data) > max_bytes
        return too_long or (per_shard is not None and len(self._keys) >= per_shard)

    def add(self, key: str, header: bytes, data: bytes, max_bytes: int | None) -> None:
        """Write a sample."""
        if key in self._keys:
            raise InvalidSample("a key twice in one shard", where=key[:100])
        if max_bytes is not None and self._tar.size_with(header, data) > max_bytes:
            raise InvalidSample(f"a sample of {len(data)} bytes; a shard has at most {max_bytes}", where=key[:100])
        self._keys.add(key)
        self._tar.add(header, data)

    def finish(self) -> ShardInfo:
        """Finish the tar and return its facts; later calls return the same."""
        if self._info is None:
            digest = self._tar.close()
            self._file.close()
            self._info = ShardInfo(path=self.path, samples=len(self._keys), bytes=self._tar.bytes, sha256=digest)
            self._keys.clear()
        return self._info

    def discard(self) -> None:
        """Delete the temporary file."""
        self._file.close()
        self.part.unlink(missing_ok=True)
