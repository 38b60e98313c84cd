"""The atproto data model as JSON: links are ``{"$link": "bafyrei…"}``, bytes ``{"$bytes": "AQID"}`` (base64, unpadded).

There are no floats, integers stay within ±(2^53 − 1), and containers nest at most 32 deep. ``bool`` is no integer.
:func:`encode` gives the only DAG-CBOR encoding of a value, whose hash is the record's CID. DAG-CBOR sorts the keys of a
map, so their original order is lost.

Specification: https://atproto.com/specs/data-model
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, Literal, TypeAlias, TypeGuard

import cbor2
import libipld

from catalog.errors import InvalidData, InvalidSyntax
from catalog.syntax import Cid
from catalog.syntax.json import Json

__all__ = [
    "MAX_INTEGER",
    "MAX_NESTING",
    "MAX_RECORD_BYTES",
    "MAX_VALUES",
    "Json",
    "bytes_json",
    "bytes_of",
    "check_record_size",
    "decode",
    "encode",
    "has_more_values",
    "is_blob",
    "link_of",
    "record_cid",
]


MAX_NESTING: Final = 32
"""Objects and arrays inside each other, the outermost included; ``$link`` and ``$bytes`` don't count."""
MAX_INTEGER: Final = 2**53 - 1
MAX_RECORD_BYTES: Final = 2**20
"""The most bytes of an encoded record, as relays take it: 1 MiB."""
MAX_VALUES: Final = 200_000
"""The most values of a record, keys included: in one byte each, as empty lists, 1 MiB becomes 80 MB of objects."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z$_][A-Za-z0-9$_-]{0,63}")
_SIZE_FOLLOWS: Final = 24
"""From here on the size of a CBOR value is in the bytes after its head."""
_STRINGS: Final = (2, 3)
"""Major types whose size counts bytes: byte strings and texts."""
_KEY_SHOWN: Final = 40
_MAX_PADDING: Final = 2
_MAX_DIGEST: Final = 64
"""Bytes of the longest digest in a link that libipld decodes."""
_TAG: Final = 42
"""The CBOR tag of a link; its content is a zero byte and the CID in binary."""
_TAG_HEAD: Final = b"\xd8\x2a"
_Codec: TypeAlias = "Literal['libipld', 'cbor2']"
# libipld is fast, but has one type for byte strings and links: what has the form of a CID is written as a link. cbor2
# has two types, and is used for the few records with a byte string of that form.


def encode(value: Json) -> bytes:
    """Return the DAG-CBOR encoding of a value.

    Subclasses of ``str``, such as identifiers, are encoded as their text. Raises :class:`InvalidData`, with the path
    of the place, for a value outside the data model.
    """
    try:
        raw: bytes = libipld.encode_dag_cbor(_native(value, 1, "libipld"))
    except _LooksLikeLinkError:
        raw = cbor2.dumps(_native(value, 1, "cbor2"), canonical=True)
    return raw


def decode(raw: bytes) -> Json:
    """Return the value of a DAG-CBOR block. Raises :class:`InvalidData` unless it is one, in canonical form."""
    try:
        value = libipld.decode_dag_cbor(raw)  # strict, except that it takes integers in a longer form, and floats
        if libipld.encode_dag_cbor(value) == raw:
            return _json(value, 1, "libipld")
        value = cbor2.loads(raw)
        json, canonical = _json(value, 1, "cbor2"), cbor2.dumps(value, canonical=True) == raw
    except (TypeError, ValueError, RecursionError, MemoryError, cbor2.CBORError) as error:
        raise InvalidData(f"not DAG-CBOR: {error}") from error
    if not canonical:
        raise InvalidData("not DAG-CBOR: not in canonical form")
    return json


def record_cid(value: Json) -> Cid:
    """The CID of a record. Raises as :func:`encode` does."""
    return Cid.of_block(encode(value))


def check_record_size(raw: bytes, values: int = MAX_VALUES) -> None:
    """Raise :class:`InvalidData` for an encoded record of more bytes than relays take, or of more than ``values``."""
    if len(raw) > MAX_RECORD_BYTES:
        what = f"the record has {len(raw):,} bytes; the most is {MAX_RECORD_BYTES:,}"
        raise InvalidData(what, hint="records point at data, they don't hold it")
    if has_more_values(raw, values):
        what = f"the record has more than {values:,} values"
        raise InvalidData(what, hint="records point at data; to read it all the same, raise limits.record_values")


def has_more_values(raw: bytes, most: int) -> bool:
    """Return whether a DAG-CBOR block has more values and keys than ``most``, by counting heads, without decoding.

    The answer is arbitrary for bytes that are no DAG-CBOR: :func:`decode` refuses them.
    """
    if len(raw) <= most:
        return False
    at = count = 0
    while at < len(raw):
        count += 1
        if count > most:
            return True
        major, short = raw[at] >> 5, raw[at] & 31
        at += 1
        size = short
        if short >= _SIZE_FOLLOWS:
            width = 1 << (short - _SIZE_FOLLOWS)
            size = int.from_bytes(raw[at : at + width], "big")
            at += width
        if major in _STRINGS:
            at += size
    return False


def bytes_of(value: object) -> bytes:
    """The bytes of ``{"$bytes": …}``; the base64 may be padded or not. Raises :class:`InvalidData`."""
    text = _only_value(value, "$bytes")
    body = text.rstrip("=")
    if len(text) - len(body) > _MAX_PADDING:
        raise InvalidData("$bytes is not base64: too much padding")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidData(f"$bytes is not base64: {error}") from error


def bytes_json(raw: bytes) -> dict[str, Json]:
    """``{"$bytes": …}`` for these bytes."""
    return {"$bytes": base64.b64encode(raw).decode("ascii").rstrip("=")}


def link_of(value: object) -> Cid:
    """The CID of ``{"$link": …}``, which must be in base32. Raises :class:`InvalidData`."""
    text = _only_value(value, "$link")
    try:
        cid = Cid.parse(text)
        digest = cid.digest
    except InvalidSyntax as error:
        raise InvalidData(f"$link: {error.what}", hint=error.hint) from error
    if len(digest) > _MAX_DIGEST:
        raise InvalidData(f"$link: a CID whose hash has {len(digest)} bytes; the most is {_MAX_DIGEST}")
    return cid


def is_blob(value: object) -> TypeGuard[dict[str, Json]]:
    """Return whether a value is a well-formed blob reference: ``{$type: blob, ref: {$link}, mimeType, size}``."""
    if not isinstance(value, dict) or value.get("$type") != "blob":
        return False
    size = value.get("size")
    if not isinstance(value.get("mimeType"), str) or isinstance(size, bool) or not isinstance(size, int):
        return False
    try:
        link_of(value.get("ref"))
    except InvalidData:
        return False
    return 0 <= size <= MAX_INTEGER


def _only_value(value: object, key: str) -> str:
    if not isinstance(value, dict) or key not in value:
        raise InvalidData(f'expected an object with the one key "{key}"')
    if len(value) > 1:
        raise InvalidData(f'"{key}" must be the only key of its object')
    text = value[key]
    if not isinstance(text, str):
        raise InvalidData(f'"{key}" must be a string, not {type(text).__name__}')
    return text


class _LooksLikeLinkError(Exception):
    """A byte string in the form of a CID, which libipld would write as a link."""


def _native(value: object, depth: int, codec: _Codec) -> object:
    """Return a value in the types of a codec, in a copy. The recursion ends at ``MAX_NESTING``."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, dict):
        return _native_object(value, depth, codec)
    if not isinstance(value, list):
        raise _foreign(value)
    _check_depth(depth)
    copy: list[object] = []
    for index, item in enumerate(value):
        try:
            copy.append(_native(item, depth + 1, codec))
        except InvalidData as error:
            error.within(f"[{index}]")
            raise
    return copy


def _native_object(value: dict[object, object], depth: int, codec: _Codec) -> object:
    if "$link" in value:
        binary = link_of(value).binary
        return binary if codec == "libipld" else cbor2.CBORTag(_TAG, b"\0" + binary)
    if "$bytes" in value:
        raw = bytes_of(value)
        if codec == "libipld" and _looks_like_link(raw):
            raise _LooksLikeLinkError
        return raw
    _check_depth(depth)
    copy: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidData(f"the keys of an object are strings, not {type(key).__name__}")
        try:
            copy[_text(key)] = _native(item, depth + 1, codec)
        except InvalidData as error:
            error.within(_step(key))
            raise
    return copy


def _json(value: object, depth: int, codec: _Codec) -> Json:
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, bytes):
        linked = codec == "libipld" and _looks_like_link(value)
        return {"$link": _cid(value)} if linked else bytes_json(value)
    if isinstance(value, cbor2.CBORTag):  # libipld has decoded the block: it has no other tag, and bytes follow
        return {"$link": _cid(value.value[1:])}
    if isinstance(value, dict):
        return _json_object(value, depth, codec)
    if not isinstance(value, list):
        raise _foreign(value)
    _check_depth(depth)
    array: list[Json] = []
    for index, item in enumerate(value):
        try:
            array.append(_json(item, depth + 1, codec))
        except InvalidData as error:
            error.within(f"[{index}]")
            raise
    return array


def _json_object(value: dict[str, object], depth: int, codec: _Codec) -> Json:
    if "$link" in value or "$bytes" in value:
        raise InvalidData("$link and $bytes are reserved keys: no object of a block has them")
    _check_depth(depth)
    json: dict[str, Json] = {}
    for key, item in value.items():
        try:
            json[key] = _json(item, depth + 1, codec)
        except InvalidData as error:
            error.within(_step(key))
            raise
    return json


def _looks_like_link(raw: bytes) -> bool:
    """Return whether libipld writes a byte string as a link: the library itself decides."""
    encoded: bytes = libipld.encode_dag_cbor(raw)
    return encoded.startswith(_TAG_HEAD)


def _cid(binary: bytes) -> str:
    try:
        return str(Cid.of_binary(binary))
    except InvalidSyntax as error:
        raise InvalidData(f"a link: {error.what}", hint=error.hint) from error


def _integer(value: int) -> int:
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise InvalidData("an integer beyond ±(2^53 − 1)", hint="write it as a string")
    return int(value)


def _foreign(value: object) -> InvalidData:
    """Return the error for a value of a type that the data model lacks."""
    if isinstance(value, float):
        return InvalidData("the atproto data model has no floats", hint="write an integer, or a string")
    return InvalidData(f"the atproto data model has no {type(value).__name__}")


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidData("text with half a surrogate pair in it is not Unicode") from error
    return str(value)


def _check_depth(depth: int) -> None:
    if depth > MAX_NESTING:
        raise InvalidData(f"more than {MAX_NESTING} objects and arrays inside each other")


def _step(key: str) -> str:
    """A key as a step of a path; quoted, and cut, when it is not a plain word."""
    if _PLAIN_KEY.fullmatch(key):
        return key
    return f"[{key if len(key) <= _KEY_SHOWN else key[: _KEY_SHOWN - 1] + '…'!r}]"
