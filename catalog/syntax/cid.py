"""Content identifiers: https://atproto.com/specs/data-model#link-and-cid-formats"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple, Self

import libipld

from catalog.errors import InvalidSyntax
from catalog.syntax.grammar import match, refusal

DAG_CBOR: Final = 0x71
"""The codec of records and tree nodes."""
RAW: Final = 0x55
"""The codec of blobs."""
SHA_256: Final = 0x12

_PATTERN: Final = re.compile(r"(?!Qm)[A-Za-z0-9+=]{8,}")
_HINT: Final = "a CID looks like bafyrei… (version 1; the old Qm… form is not used)"
_MAX_VARINT_BYTES: Final = 9
_MORE: Final = 0x80
"""The bit of a varint's byte that says another follows."""


class _Parts(NamedTuple):
    codec: int
    hash_function: int
    digest: bytes


class Cid(str):
    """The name of a block of bytes, by its hash: ``bafyreib…``.

    In binary, every number a varint::

        version 1 │ codec │ hash function │ digest length │ digest

    Text in base32 (it starts with ``b``) is checked down to the digest. Other multibases pass by their
    characters alone, as in the protocol's own parsers; they have no :attr:`codec` and no :attr:`digest`.
    Specification: https://atproto.com/specs/data-model#link-and-cid-formats
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a CID of 8 to 256 characters. Raises :class:`~catalog.errors.InvalidSyntax`."""
        cid = cls(match(_PATTERN, text, kind="a CID", longest=256, hint=_HINT))
        if cid.startswith("b"):
            _take_apart(cid.binary)
        return cid

    @classmethod
    def of_block(cls, raw: bytes, codec: int = DAG_CBOR) -> Self:
        """The CID of these bytes, by SHA-256."""
        head = bytes((1, codec, SHA_256, 32))
        return cls(_base32(head + hashlib.sha256(raw).digest()))

    @classmethod
    def of_binary(cls, binary: bytes) -> Self:
        """The CID whose binary form this is. Raises :class:`~catalog.errors.InvalidSyntax`."""
        _take_apart(binary)
        return cls(_base32(binary))

    @property
    def binary(self) -> bytes:
        """The binary form. Raises :class:`~catalog.errors.InvalidSyntax` for another base than base32."""
        if not self.startswith("b"):
            raise refusal("a base32 CID", str(self), "atproto writes CIDs in base32: they start with b")
        try:
            binary: bytes = libipld.decode_multibase(str(self))[1]
        except ValueError as error:
            raise refusal("a CID", str(self), "it starts with b, but is not base32") from error
        if _base32(binary) != self:
            raise refusal("a CID", str(self), "its base32 is not in lower case, or not in its only form")
        return binary

    @property
    def codec(self) -> int:
        """The codec of the block: :data:`DAG_CBOR` or :data:`RAW` in atproto. Raises as :attr:`binary` does."""
        return _take_apart(self.binary).codec

    @property
    def hash_function(self) -> int:
        """The multihash code: ``0x12`` for SHA-256. Raises as :attr:`binary` does."""
        return _take_apart(self.binary).hash_function

    @property
    def digest(self) -> bytes:
        """The hash of the block. Raises as :attr:`binary` does."""
        return _take_apart(self.binary).digest


def _base32(binary: bytes) -> str:
    text: str = libipld.encode_multibase("b", binary)
    return text


def _take_apart(binary: bytes) -> _Parts:
    version, rest = _varint(binary)
    if version != 1:
        raise InvalidSyntax(f"a CID of version {version}", hint="only version 1 is used")
    codec, rest = _varint(rest)
    hash_function, rest = _varint(rest)
    length, digest = _varint(rest)
    if length != len(digest):
        raise InvalidSyntax(f"a CID whose hash has {len(digest)} bytes, not the {length} it tells")
    if hash_function == SHA_256 and length != hashlib.sha256().digest_size:
        raise InvalidSyntax(f"a CID whose SHA-256 has {length} bytes, not 32")
    return _Parts(codec, hash_function, digest)


def _varint(binary: bytes) -> tuple[int, bytes]:
    """The unsigned LEB128 number in front, in its shortest form, and what follows it."""
    number = 0
    for index, byte in enumerate(binary[:_MAX_VARINT_BYTES]):
        number |= (byte & ~_MORE) << 7 * index
        if not byte & _MORE:
            if byte == 0 and index:
                raise InvalidSyntax("a CID with a number that is not in its shortest form")
            return number, binary[index + 1 :]
    raise InvalidSyntax("a CID that breaks off inside a number, or has one too large")
