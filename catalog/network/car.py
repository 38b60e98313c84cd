"""CAR files: blocks in a row, each with the CID that it claims to have.

::

    length │ header {roots: [CID], version: 1}     a section
    length │ CID (36 bytes) │ block                a section for each block, to the end of the file

*Terminology.* A **CID** is 36 bytes here: ``01 71 12 20`` (or ``01 55 12 20`` for raw bytes) and the SHA-256 of the
block. A **section** is a length, as a varint, and that many bytes.

*Tricky bits.*

- The CID beside a block is only a claim. A block is hashed when it is first used, and what is never used is never
  touched: most of a personal repository is none of our business.
- A file cut inside a section is refused here. One that is cut between two sections looks whole: then blocks are
  missing, and whoever follows links to them finds that out.
- A section with a CID of another kind spoils nothing: its block can't be asked for.

Specification: https://ipld.io/specs/transport/car/carv1/ and https://atproto.com/specs/repository#car-file-serialization
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self

import libipld

from catalog.errors import InvalidProof
from catalog.syntax import Cid

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CBOR_CID", "CID_BYTES", "MAX_BLOCK", "Blocks", "is_cid", "no_garbage_collection"]

MAX_BLOCK: Final = 2 * 2**20
"""The most bytes of a block: a record has at most 1 MiB, a frame of the firehose 2 MB of blocks."""
CID_BYTES: Final = 36
CBOR_CID: Final = b"\x01\x71\x12\x20"
"""How the CID of a record, tree node or commit begins: version 1, DAG-CBOR, SHA-256, 32 bytes."""
RAW_CID: Final = b"\x01\x55\x12\x20"
"""How the CID of raw bytes begins."""

_KINDS: Final = (CBOR_CID, RAW_CID)
_MAX_HEADER: Final = 10_000
_MAX_VARINT: Final = 9
_MORE: Final = 0x80
_LENGTH_BITS: Final = 22
"""A section's length fits in them; its place in the file stands above them."""
_LENGTH: Final = (1 << _LENGTH_BITS) - 1


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Looking for circles among a million new objects that have none would triple the time of a big CAR."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def is_cid(value: object) -> bool:
    """Whether a value that libipld decoded is the CID of a DAG-CBOR block."""
    return isinstance(value, bytes) and len(value) == CID_BYTES and value.startswith(CBOR_CID)


class Blocks:
    """Blocks by CID, from a CAR or from several. Not a proof by itself: a block says what its CID says, no more."""

    __slots__ = ("_found", "_raw")

    def __init__(self) -> None:
        self._raw = b""
        # Place and length in the file, or the bytes: in a tuple while they aren't hashed, bare when they are.
        self._found: dict[bytes, int | tuple[bytes] | bytes] = {}

    @classmethod
    def of_car(cls, raw: bytes, *, where: str = "CAR") -> tuple[tuple[bytes, ...], Self]:
        """The roots of a CAR, and its blocks. Raises :class:`InvalidProof` for a file that is broken or cut."""
        roots, start = _header(raw, where)
        blocks = cls()
        blocks._raw = raw
        blocks._found = _sections(raw, start, where)
        return roots, blocks

    def get(self, cid: bytes) -> bytes | None:
        """The block with this CID; None when there is none. Raises :class:`InvalidProof` when it is another block."""
        found = self._found.get(cid)
        if found is None or isinstance(found, bytes):
            return found
        if isinstance(found, int):
            end = (found >> _LENGTH_BITS) + (found & _LENGTH)
            found = (self._raw[end - (found & _LENGTH) + CID_BYTES : end],)
        block = found[0]
        if not cid.startswith(_KINDS):
            return None
        if cid[4:] != sha256(block).digest():
            raise InvalidProof("a block has the wrong CID: its bytes hash to another", where=str(Cid.of_binary(cid)))
        self._found[cid] = block
        return block

    def put(self, cid: bytes, block: bytes) -> None:
        """Add one block, to be hashed when it is used. A block that is there already stays."""
        self._found.setdefault(cid, (block,))

    def add(self, other: Blocks) -> None:
        """Add the blocks of another CAR. Blocks that are there already stay."""
        mine, raw = self._found, other._raw
        for cid, found in other._found.items():
            if cid in mine:
                continue
            if isinstance(found, int):
                end = (found >> _LENGTH_BITS) + (found & _LENGTH)
                mine[cid] = (raw[end - (found & _LENGTH) + CID_BYTES : end],)
            else:
                mine[cid] = found

    def __contains__(self, cid: object) -> bool:
        return isinstance(cid, bytes) and cid.startswith(_KINDS) and cid in self._found

    def __len__(self) -> int:
        """How many there are, sections with a CID of another kind included."""
        return len(self._found)


def _header(raw: bytes, where: str) -> tuple[tuple[bytes, ...], int]:
    """The roots, and where the first block's section begins."""
    length, start = _varint(raw, 0, where)
    if length > _MAX_HEADER:
        raise InvalidProof(f"its header has {length:,} bytes; the most is {_MAX_HEADER:,}", where=where)
    if start + length > len(raw):
        raise InvalidProof("is cut off inside its header", where=where)
    try:
        header = libipld.decode_dag_cbor(raw[start : start + length])
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise InvalidProof("its header is not DAG-CBOR", where=where) from error
    if not isinstance(header, dict) or type(header.get("version")) is not int:
        raise InvalidProof("its header is not the header of a CAR", where=where)
    if header["version"] != 1:
        raise InvalidProof("is a CAR of another version than 1", where=where)
    roots = header.get("roots")
    if not isinstance(roots, list) or not all(map(is_cid, roots)):  # getBlocks answers without a root
        raise InvalidProof("its header names a root that is not the CID of a DAG-CBOR block", where=where)
    return tuple(roots), start + length


def _sections(raw: bytes, start: int, where: str) -> dict[bytes, int | tuple[bytes] | bytes]:
    """Where each block lies. A quarter of a microsecond a section: nothing but the lengths is looked at."""
    found: dict[bytes, int | tuple[bytes] | bytes] = {}
    here, end = start, len(raw)
    longest = MAX_BLOCK + CID_BYTES
    try:
        while here < end:
            length = raw[here]
            if length < 128:
                here += 1
            elif 0 < (high := raw[here + 1]) < 128:
                length = length & 127 | high << 7
                here += 2
            else:
                length, here = _varint(raw, here, where)
            if not CID_BYTES <= length <= longest:
                raise _odd_section(length, where)
            found[raw[here : here + CID_BYTES]] = here << _LENGTH_BITS | length
            here += length
    except IndexError:
        here = end + 1
    if here > end:
        raise InvalidProof("is cut off inside a block", where=where)
    return found


def _odd_section(length: int, where: str) -> InvalidProof:
    if length < CID_BYTES:
        return InvalidProof(f"a section of {length} bytes is too short for a CID", where=where)
    return InvalidProof(f"a block of {length - CID_BYTES:,} bytes; the most is {MAX_BLOCK:,}", where=where)


def _varint(raw: bytes, here: int, where: str) -> tuple[int, int]:
    """The unsigned LEB128 number at a place, and where it ends."""
    number = 0
    for index, byte in enumerate(raw[here : here + _MAX_VARINT]):
        number |= (byte & ~_MORE) << 7 * index
        if not byte & _MORE:
            if byte == 0 and index:
                raise InvalidProof("a length is not in its shortest form", where=where)
            return number, here + index + 1
    if here + _MAX_VARINT <= len(raw):
        raise InvalidProof("a length is larger than any number has to be", where=where)
    raise InvalidProof("is empty" if not raw else "is cut off inside a length", where=where)
