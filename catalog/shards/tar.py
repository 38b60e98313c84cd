"""The tar format: read members in one pass, never unpacked to disk; write them deterministically.

*Member*: one file in the tar, a header of 512 bytes and its data, padded to a multiple of 512. *End mark*: a block of
zeros. A tar without it that ends after a member is complete if its checksum matches; otherwise it may be truncated, and
a :class:`~catalog.errors.TruncatedWarning` says so. One that ends elsewhere is an error.

- A name is only text: no file is opened, created or linked by it. Bytes of it that are not UTF-8 are lone surrogates,
  as in Python's own file names, so that two names stay two.
- Members are slices of a block that was read, not copies; a member that doesn't fit into the rest of its block has its
  own buffer. A block is in memory as long as one of its slices.
- gzip is decompressed while it is read, with a limit on the ratio.

Spec: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; the GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from catalog.errors import InvalidShard, TruncatedWarning
from catalog.shards.limits import MAX_MEMBER, MAX_NAME
from catalog.shards.magic import A_TAR, UNKNOWN, describe, is_tar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from catalog.shards.source import Source

__all__ = ["MAX_MEMBER", "Inflated", "TarWriter", "member_names", "members"]

FREE_INFLATED: Final = 1 << 26
MAX_INFLATION: Final = 200
"""Bytes that a compressed shard may decompress to: a fixed number, and so many for each compressed byte."""

_BLOCK: Final = 512
_RECORD: Final = 20 * _BLOCK
"""The length of a tar is a multiple of it, by convention."""

_READ: Final = 1 << 16
"""Bytes of a block. 20,000 members of 3 kB: 64 kB 2.0 µs each, 1 MB 1.9. A small array keeps its block alive."""

_ALONE: Final = _READ // 4
"""A member from here on that isn't in the block already gets a buffer of exactly its size."""

_STEP: Final = 1 << 24
"""Memory allocated for a stated size before its bytes have arrived."""

_HEADER: Final = struct.Struct("100s24x12s12x8sc188x155s12x")
"""Name, size, checksum, type, prefix."""

_ZEROS: Final = bytes(_BLOCK)
_WITHOUT_DATA: Final = b"123456"
"""Links, devices, folders and pipes: whatever their size field says, the next header follows immediately."""

_ABOUT_THE_NEXT: Final = b"xLgK"
"""pax headers and a long name; and, unused here, the global pax header and a long link."""

_REGULAR: Final = b"0\x007"
"""A regular file, also in its old spelling, and a contiguous file."""


def members(  # noqa: C901 - a call for each member would cost time
    source: Source, where: str, *, most: int = MAX_MEMBER, whole: bool = False, places: list[int] | None = None
) -> Iterator[tuple[str, memoryview]]:
    """Yield (name, data) of the regular files of a tar. Folders, links, devices and the like are skipped.

    The data is read-only. ``whole``: a checksum shows that the tar is complete, even without an end mark. The offset of
    each member's data is appended to ``places`` before it is yielded (of a compressed tar, after decompression). Raises
    :class:`InvalidShard` for a file that is truncated, damaged, sparse, or no tar, and for a member of more than
    ``most`` bytes that isn't in memory yet.
    """
    source, block = _first_block(source, where)
    at, end, base = 0, len(block), 0
    extra: _Extra | None = None
    unpack_from, adler32 = _HEADER.unpack_from, zlib.adler32
    while True:
        if end - at < _BLOCK:
            base += at
            block = _more(source, block[at:], _BLOCK, where, may_end=at == end)
            at, end = 0, len(block)
            if not end:
                _end_without_mark(where, whole=whole)
                return
        name, size_field, sum_field, kind, prefix = unpack_from(block, at)
        data = at + _BLOCK
        # The sum of the header's bytes, by a function in C: adler32 keeps 1 + the sum of the bytes in its lower half,
        # modulo 65521, and half a header sums up to 65280 at most, so nothing is lost.
        total = (adler32(block[at : at + 256]) & 0xFFFF) + (adler32(block[at + 256 : data]) & 0xFFFF) - 2
        total += 256 - sum(sum_field)  # the sum's own field counts as eight spaces
        digits = size_field[:11]
        plain = sum_field == b"%06o\0 " % total and digits.isdigit() and not prefix[0] and size_field[11] in b"\0 "
        if plain and kind == b"0" and b"8" not in digits and b"9" not in digits:
            size = int(digits, 8)  # nearly every header of a shard; the others are parsed below
            text = name.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        else:
            header = bytes(block[at:data])
            if header == _ZEROS:
                return
            text, size, kind = _header(header, total, where)
        if extra is not None and extra.size is not None:
            size = extra.size
        padded = size + (-size & 511)
        if end - data < padded:
            if size > most:
                raise InvalidShard(f"a member of {size} bytes; the most is {most}", where=where)
            base += data
            block = _more(source, block[data:], padded, where)
            data, end = 0, len(block)
        at = data + padded
        if kind == b"0":
            if places is not None:
                places.append(base + data)
            yield text if extra is None or extra.name is None else extra.name, block[data : data + size]
            extra = None
        else:
            extra = _extended(kind, block[data : data + size], extra, where)


def _end_without_mark(where: str, *, whole: bool) -> None:
    if not whole:
        what = f"{where}: the tar has no end mark; it is complete, or was cut between two members"
        warnings.warn(TruncatedWarning(what), stacklevel=3)


def member_names(head: bytes) -> Iterator[str]:
    """Yield the names of the regular files whose headers are in the first bytes of a tar; ends at a damaged one."""
    at, extra, view = 0, None, memoryview(head)
    with suppress(InvalidShard):
        while at + _BLOCK <= len(head) and any(header := head[at : at + _BLOCK]):
            name, size, kind = _header(header, sum(header) - sum(header[148:156]) + 256, "")
            size = size if extra is None or extra.size is None else extra.size
            data, at = view[at + _BLOCK : at + _BLOCK + size], at + _BLOCK + size + (-size & 511)
            if kind == b"0":
                yield name if extra is None or extra.name is None else extra.name
                extra = None
            else:
                extra = _extended(kind, data, extra, "")


class _Extra(NamedTuple):
    """Name and size of the next member from an extended header."""

    name: str | None
    size: int | None


def _first_block(source: Source, where: str) -> tuple[Source, memoryview]:
    """Return the source and its first block, both decompressed if it is gzip. Raises with the name of other formats."""
    block = _more(source, memoryview(b""), 2, where, may_end=True)
    if bytes(block[:2]) == b"\x1f\x8b":
        source = Inflated(source, block, where)
        block = _more(source, memoryview(b""), _BLOCK, where, may_end=True)
    while 0 < len(block) < _BLOCK:
        longer = _more(source, block, len(block) + 1, where, may_end=True)
        if len(longer) == len(block):
            break
        block = longer
    head = bytes(block)
    if not head:
        raise InvalidShard("the shard is cut short", where=where, hint="the file is empty")
    if head[257:262] != b"ustar" and not is_tar(head) and (what := describe(head)) not in (A_TAR, UNKNOWN):
        raise InvalidShard("not a tar, or a damaged one", where=where, hint=f"it is {what}")
    if len(head) < _BLOCK:
        raise InvalidShard("the shard is cut short", where=where, hint="it ends within its first header")
    return source, block


def _more(source: Source, rest: memoryview, need: int, where: str, *, may_end: bool = False) -> memoryview:
    """Return a new block of at least ``need`` bytes that begins with ``rest``.

    With ``may_end`` it is ``rest`` alone if there are no more bytes.
    """
    if need > MAX_MEMBER:
        raise InvalidShard(f"a member of {need} bytes; the most is {MAX_MEMBER}", where=where)
    found = bytearray(_READ if need < _ALONE else min(need, _STEP))
    found[: len(rest)] = rest
    filled = len(rest)
    while filled < need:
        if filled == len(found):
            found.extend(bytes(min(need - filled, filled)))  # memory follows the bytes received, not the stated size
        count = source.readinto(memoryview(found)[filled:])
        if not count and may_end and filled == len(rest):
            break
        if not count:
            raise InvalidShard("the shard is cut short", where=where, hint="it ends within a member")
        filled += count
    return memoryview(found).toreadonly()[:filled]


def _header(header: bytes, total: int, where: str) -> tuple[str, int, bytes]:
    """Return name, size and type of any header: the slow way. ``total`` is the sum of its bytes."""
    name, size_field, sum_field, kind, prefix = _HEADER.unpack(header)
    if _number(sum_field, where) != total:
        raise InvalidShard("not a tar, or a damaged one", where=where)
    if kind == b"S":
        raise InvalidShard("a sparse member", where=where, hint="write the tar without --sparse")
    name, prefix = name.partition(b"\0")[0], prefix.partition(b"\0")[0]
    if prefix and header[257:263] == b"ustar\0":  # GNU's format uses these bytes otherwise
        name = prefix + b"/" + name
    size = 0 if kind in _WITHOUT_DATA else _number(size_field, where)
    return name.decode("utf-8", "surrogateescape"), size, b"0" if kind in _REGULAR else kind


def _number(field: bytes, where: str) -> int:
    if field[0] == 0x80:  # GNU's base 256, for sizes from 8 GiB; with 0xff they would be negative
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise InvalidShard("not a tar, or a damaged one", where=where, hint="a header has an invalid number")
    return int(digits or b"0", 8)


def _extended(kind: bytes, block: memoryview, extra: _Extra | None, where: str) -> _Extra | None:
    """Return what is known of the next member after a member that is no regular file."""
    if kind not in _ABOUT_THE_NEXT:
        return None
    if len(block) > MAX_NAME:
        raise InvalidShard("a member's extended header is too long", where=where)
    name, size = extra or (None, None)
    data = bytes(block)
    if kind == b"L":
        name = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    for key, value in _pax(data, where) if kind == b"x" else ():
        if key == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif key == b"size":
            if not value.isdigit() or len(value) > 20:
                raise InvalidShard("a member's extended header can't be read", where=where)
            size = int(value)
        elif key.startswith(b"GNU.sparse."):
            raise InvalidShard("a sparse member", where=where, hint="write the tar without --sparse")
    return _Extra(name, size)


def _pax(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs of a pax header: lines of ``<length> <key>=<value>``, the length of the whole line."""
    while data:
        head = data[:8].partition(b" ")[0]
        length = int(head) if head.isdigit() else 0
        key, equals, value = data[len(head) + 1 : length].partition(b"=")
        if length <= len(head) or length > len(data) or not equals or not value.endswith(b"\n"):
            raise InvalidShard("a member's extended header can't be read", where=where)
        yield key, value[:-1]
        data = data[length:]


class Inflated:
    """A decompressed gzip source; several gzip streams in a row are read as one."""

    def __init__(self, source: Source, first: memoryview, where: str) -> None:
        self._source, self._where = source, where
        self._left: bytes = bytes(first)
        self._inflate = zlib.decompressobj(31)
        self._read = len(first)
        self._given = 0

    def readinto(self, into: memoryview, /) -> int:
        """Fill the beginning of ``into``; 0 at the end. Raises :class:`InvalidShard` for a truncated file."""
        try:
            found = self._some(len(into))
        except zlib.error as error:
            raise InvalidShard("damaged gzip", where=self._where, hint=str(error)) from None
        self._given += len(found)
        if self._given > FREE_INFLATED + MAX_INFLATION * self._read:
            what = f"compressed bytes that unpack to more than {MAX_INFLATION} times as many"
            raise InvalidShard(what, where=self._where, hint="decompress it yourself if you trust it")
        into[: len(found)] = found
        return len(found)

    def _some(self, most: int) -> bytes:
        while True:
            found = self._inflate.decompress(self._left, most)
            if found:
                self._left = self._inflate.unconsumed_tail
                return found
            if self._inflate.eof:
                self._left = self._inflate.unused_data or self._raw()
                if not self._left.startswith(b"\x1f"):
                    return b""  # padding with zeros, or the end
                self._inflate = zlib.decompressobj(31)
            else:
                self._left = self._raw()
                if not self._left:
                    raise InvalidShard("the shard is cut short", where=self._where, hint="its gzip stream has no end")

    def _raw(self) -> bytes:
        buffer = bytearray(_READ)
        count = self._source.readinto(memoryview(buffer)) or 0
        self._read += count
        return bytes(buffer[:count])


class TarWriter:
    """Writes a tar into an open file. The same members give the same bytes: no times, no owners.

    ``bytes`` is the number of bytes written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes = 0

    @staticmethod
    def header(name: str, size: int) -> bytes:
        """Return the header of a regular file; for a name over 100 bytes it has three blocks or more."""
        import tarfile  # slow to import, and only needed for writing

        member = tarfile.TarInfo(name)
        member.size = size
        return member.tobuf(tarfile.PAX_FORMAT, "utf-8")

    def size_with(self, header: bytes, data: bytes, before: int = 0) -> int:
        """Return the length of the tar if this member is its last, after ``before`` bytes of other new ones."""
        return (
            -(-(self.bytes + before + len(header) + len(data) + (-len(data) & 511) + 2 * _BLOCK) // _RECORD) * _RECORD
        )

    def add(self, header: bytes, data: bytes) -> None:
        """Write a member."""
        self._write(header)
        self._write(data)
        self._write(bytes(-len(data) & 511))

    def close(self) -> str:
        """Write the end mark and return the tar's SHA-256 in hex. The file stays open."""
        self._write(bytes(self.size_with(b"", b"") - self.bytes))
        return self._digest.hexdigest()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
