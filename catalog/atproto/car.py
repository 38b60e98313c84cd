"""CAR files: a sequence of blocks, each stored with its claimed CID.

::

    length │ header {roots: [CID], version: 1}     a section: a varint, and that many bytes
    length │ CID (36 bytes) │ block                a section for each block, to the end of the file

- The CID stored with a block is only a claim. A block is hashed when it is first used; unused ones are never read.
- A file cut inside a section is refused here; one cut between two looks complete, and the blocks are missing later.
- Sections and roots with another kind of CID (CIDv0, identity), and files without a root, are accepted: their blocks
  can't be requested.

Specification: https://ipld.io/specs/transport/car/carv1/ and
https://atproto.com/specs/repository#car-file-serialization
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import repeat
from typing import Final, Self, TypeAlias

import libipld

from catalog.errors import InvalidProof
from catalog.syntax import Cid

MAX_BLOCK: Final = 2 * 2**20
"""Maximum size of a block: a record has at most 1 MiB, a firehose frame 2 MB of blocks."""
MAX_BLOCKS: Final = 3_000_000
"""Maximum number of blocks in a file: the index takes about 200 bytes a block, which may be more than the block."""
CID_BYTES: Final = 36
CBOR_CID: Final = b"\x01\x71\x12\x20"
"""First bytes of the CID of a record, tree node or commit: version 1, DAG-CBOR, SHA-256, 32 bytes."""
RAW_CID: Final = b"\x01\x55\x12\x20"
"""First bytes of the CID of a raw block."""

_KINDS: Final = (CBOR_CID, RAW_CID)
_MAX_HEADER: Final = 10_000
_MAX_VARINT: Final = 9
_SHORTEST_CID: Final = 4
"""Bytes of the shortest CID that there is: version, codec, identity, no bytes."""
_MORE: Final = 0x80
_LENGTH_BITS: Final = 22
"""Bits of a section's length; the bits above them are its offset in the file."""
_LENGTH: Final = (1 << _LENGTH_BITS) - 1
_LARGE: Final = 4096
"""Larger blocks are kept once hashed: a tree may reference one large record many thousand times."""

_Found: TypeAlias = int | bytes | tuple[bytes]
"""Place and length in the file, or a block to be hashed, or in a tuple one that was."""


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: searching a million new objects for cycles would triple the time of a large CAR."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def is_cid(value: object) -> bool:
    """Return whether a value decoded by libipld is the CID of a DAG-CBOR block."""
    return isinstance(value, bytes) and len(value) == CID_BYTES and value.startswith(CBOR_CID)


class Blocks:
    """Blocks by CID, from a CAR or from several. Not a proof by itself: a block says what its CID says, no more."""

    __slots__ = ("_found", "_raw")

    def __init__(self) -> None:
        self._raw = b""
        self._found: dict[bytes, _Found] = {}

    @classmethod
    def of_car(cls, raw: bytes, *, where: str = "CAR") -> tuple[tuple[bytes, ...], Self]:
        """Return the roots of a CAR that can be commits, and its blocks. Raises :class:`InvalidProof` for a damaged
        file.
        """
        roots, start = _header(raw, where)
        blocks = cls()
        blocks._raw = raw
        blocks._found = _sections(raw, start, where)
        return roots, blocks

    def get(self, cid: bytes) -> bytes | None:
        """Return the block with this CID, or None. Raises :class:`InvalidProof` if its bytes have another CID."""
        found = self._found.get(cid)
        if type(found) is int:
            start = found >> _LENGTH_BITS
            block = self._raw[start + CID_BYTES : start + (found & _LENGTH)]
        elif isinstance(found, bytes):
            block = found
        else:
            return found[0] if isinstance(found, tuple) else None
        if CBOR_CID + sha256(block).digest() != cid and not _is_raw(block, cid):
            return None
        if len(block) > _LARGE:
            self._found[cid] = (block,)
        return block

    @staticmethod
    def cid_of(block: bytes) -> bytes:
        """The CID of a DAG-CBOR block."""
        return CBOR_CID + sha256(block).digest()

    def put(self, cid: bytes, block: bytes) -> None:
        """Add one block, to be hashed when it is used. A block that is there already stays."""
        self._found.setdefault(cid, block)

    def add(self, other: Blocks) -> None:
        """Add the blocks of another CAR. Blocks that are there already stay."""
        mine, raw = self._found, other._raw
        for cid, found in other._found.items():
            if cid in mine:
                continue
            if isinstance(found, int):
                start = found >> _LENGTH_BITS
                mine[cid] = raw[start + CID_BYTES : start + (found & _LENGTH)]
            else:
                mine[cid] = found

    def cids(self) -> Iterator[bytes]:
        """The CIDs of all blocks, as the file has them."""
        return iter(self._found)

    def __contains__(self, cid: object) -> bool:
        return isinstance(cid, bytes) and cid.startswith(_KINDS) and cid in self._found

    def __len__(self) -> int:
        """Return the number of sections, those with other kinds of CID included."""
        return len(self._found)


def _is_raw(block: bytes, cid: bytes) -> bool:
    """Return whether a block that isn't the DAG-CBOR block of a CID is its raw block. Raises :class:`InvalidProof`."""
    if not cid.startswith(_KINDS) or len(cid) != CID_BYTES:
        return False
    if cid[4:] != sha256(block).digest():
        raise InvalidProof("a block has the wrong CID: its bytes hash to another", where=str(Cid.of_binary(cid)))
    return True


def _header(raw: bytes, where: str) -> tuple[tuple[bytes, ...], int]:
    """The roots, and where the first block's section begins."""
    length, start = _varint(raw, 0, where)
    if length > _MAX_HEADER:
        raise InvalidProof(f"its header has {length:,} bytes; the most is {_MAX_HEADER:,}", where=where)
    if start + length > len(raw):
        raise InvalidProof("is cut off inside its header", where=where)
    try:
        header = libipld.decode_dag_cbor(raw[start : start + length])
    except (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise InvalidProof("its header is not DAG-CBOR", where=where) from error
    if not isinstance(header, dict) or type(header.get("version")) is not int:
        raise InvalidProof("its header is not the header of a CAR", where=where)
    if header["version"] != 1:
        raise InvalidProof("is a CAR of another version than 1", where=where)
    roots = header.get("roots")
    named = roots if isinstance(roots, list) else []  # getBlocks answers without a root, or with null
    return tuple(filter(is_cid, named)), start + length


def _sections(raw: bytes, start: int, where: str) -> dict[bytes, _Found]:
    """Return the position of each block. Only the lengths are parsed: half a microsecond a section."""
    found: dict[bytes, _Found] = {}
    here, end = start, len(raw)
    try:
        for _ in repeat(None, MAX_BLOCKS):
            if here >= end:
                break
            length = raw[here]
            if length > 127 and 0 < (high := raw[here + 1]) < 128:
                length += (high - 1) * 128
                here += 2
            else:
                length, here = _varint(raw, here, where)
                if length > MAX_BLOCK + CID_BYTES:
                    what = f"a block of {length - CID_BYTES:,} bytes; the most is {MAX_BLOCK:,}"
                    raise InvalidProof(what, where=where)
            if length >= CID_BYTES:
                found[raw[here : here + CID_BYTES]] = here << _LENGTH_BITS | length
            elif length < _SHORTEST_CID:
                raise InvalidProof(f"a section of {length} bytes is too short for a CID", where=where)
            here += length
    except IndexError:
        here = end + 1
    if here < end:
        raise InvalidProof(f"has more than {MAX_BLOCKS:,} blocks", where=where)
    if here > end:
        raise InvalidProof("is cut off inside a block", where=where)
    return found


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
